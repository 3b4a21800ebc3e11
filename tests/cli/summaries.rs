//! `replay --summary`: minutes by agent and state, within a window, and beside a CMS agent report.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support;

use support::process::{output, write};
use support::service::folder;

const LAYOUT: &str = r#"
[layout.acme]
separator = "|"
marker = "^END"
columns = ["login_id", "state", "aux_reason", "duration"]
states = "cms-names"
"#;

/// Half an hour from 08:30 in Berlin: one agent in AUX since 08:10, one who comes from a call, one who logs out.
const CAPTURE: &str = r#"{"at":"2026-01-05T07:30:00.000Z","peer":"10.1.2.3:40000","open":true}
{"at":"2026-01-05T07:30:00.000Z","text":"0471|AUX|3|1200\n0472|ACD||60\n0473|AVAIL||0\nEND\n"}
{"at":"2026-01-05T07:30:20.000Z","text":"0471|AUX|3|1220\n0472|ACD||80\n0473|AVAIL||20\nEND\n"}
{"at":"2026-01-05T07:40:00.000Z","text":"0471|AUX|4|1800\n0472|ACW||0\n0473|UNSTAFF||0\nEND\n"}
{"at":"2026-01-05T08:00:00.000Z","text":"0471|AUX|4|3000\n0472|ACW||1200\n0473|UNSTAFF||1200\nEND\n"}
"#;

fn summary(folder: &Path, options: &[&str]) -> Output {
    let [layout, capture] = ["acme.toml", "half-hour.capture"].map(|name| folder.join(name));
    let paths = ["--layout-file", layout.to_str().unwrap(), capture.to_str().unwrap()];
    output(&[&["replay", "--time-zone", "Europe/Berlin", "--summary"], &paths[..], options].concat())
}

fn files() -> TempDir {
    let folder = folder(&[("acme.toml", LAYOUT)]);
    write(folder.path(), "half-hour.capture", CAPTURE);
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn time_before_the_capture_is_told_apart() {
    let folder = files();
    let all = summary(folder.path(), &[]);
    let expected = "\
acd	login_id	mode	reason	minutes	before
1	0471	AUX	3	30.00	20.00
1	0471	AUX	4	20.00	0.00
1	0472	ACD		11.00	1.00
1	0472	ACW		20.00	0.00
1	0473	AVAIL		10.00	0.00
";
    assert_eq!(text(&all.stdout), expected, "{all:?}");
    let told = text(&all.stderr);
    let expected = "before     21.00 of 91.00 minutes lie before the first line of the capture, 2026-01-05T07:30:00.000Z: --from leaves them out\n";
    assert!(told.contains(expected), "{told}");

    // Local times are those of the zone.
    for window in [
        ["--from", "2026-01-05T08:30", "--to", "2026-01-05T08:50:00"],
        ["--from", "2026-01-05T07:30:00Z", "--to", "2026-01-05T08:50:00+01:00"],
    ] {
        let part = summary(folder.path(), &window);
        let expected = "\
acd	login_id	mode	reason	minutes	before
1	0471	AUX	3	10.00	0.00
1	0471	AUX	4	10.00	0.00
1	0472	ACD		10.00	0.00
1	0472	ACW		10.00	0.00
1	0473	AVAIL		10.00	0.00
";
        assert_eq!(text(&part.stdout), expected, "{part:?}");
        assert!(!text(&part.stderr).contains("before"), "{part:?}");
    }
    let cases: [(&[&str], &str); 3] = [
        (
            &["--from", "8:30"],
            "--from: \"8:30\" is no time: expected 2026-01-05T08:00:00Z, or 2026-01-05T08:00 in the zone Europe",
        ),
        (&["--from", "2026-01-05T09:00", "--to", "2026-01-05T08:00"], "--from is not before --to"),
        (&["--compare", "nowhere.csv"], "cannot read nowhere.csv: there is no such file"),
    ];
    for (options, expected) in cases {
        let refused = summary(folder.path(), options);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), String::new()), "{options:?}");
        assert!(text(&refused.stderr).contains(expected), "{refused:?}");
    }
}

#[test]
fn a_summary_is_put_beside_a_report_of_the_same_time() {
    let folder = files();
    // From Excel: semicolons, Windows-1252, titles above, a total below, zeros gone.
    let report = b"Agentenbericht;05.01.2026;08:30-09:00\r\n\r\nAgent Name;Login ID;Staffed Time;Avail Time;ACD Time;ACW Time;AUX Time;Aux 3;Aux 4\r\n\
        \xd6z;471;30:00;:00;:00;:00;30:00;11:30;18:30\r\nB;472;1800;;600;1200;;;\r\nC;99;60;;;;;;\r\n;Total;1;1;1;1;1;1;1\r\n";
    let path = write(folder.path(), "report.csv", report);
    let compared = summary(folder.path(), &["--compare", path.to_str().unwrap()]);
    let expected = "\
login_id	column	capture	report	difference
0471	staffed	30.00	30.00	+0.00
0471	aux	30.00	30.00	+0.00
0471	aux 3	10.00	11.50	-1.50
0471	aux 4	20.00	18.50	+1.50
0472	staffed	30.00	30.00	+0.00
0472	acd	10.00	10.00	+0.00
0472	acw	20.00	20.00	+0.00
0473	staffed	10.00		+10.00
0473	avail	10.00		+10.00
99	staffed		1.00	-1.00
";
    assert_eq!(text(&compared.stdout), expected, "{compared:?}");
    let told = text(&compared.stderr);
    let expected = "\
compared   6 of 10 figures within a minute, the largest difference +10.00 (avail)
agents     2 in both, 1 in the report alone, 1 in the capture alone
           2 login ids of the report found with leading zeros in the capture: Excel drops them
columns    not compared: Agent Name
rows       1 row without a login id left out
";
    assert!(told.contains(expected), "{told}");
    assert!(!told.contains("before"), "time before the capture is in no report of the time of the capture: {told}");

    let wrong = write(folder.path(), "wrong.csv", "login id,acd\n0471,10.5\n");
    let refused = summary(folder.path(), &["--compare", wrong.to_str().unwrap()]);
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), String::new()));
    let told = text(&refused.stderr);
    assert!(told.contains("wrong.csv: line 2: acd: expected seconds, m:ss or h:mm:ss, found \"10.5\""), "{told}");
}
