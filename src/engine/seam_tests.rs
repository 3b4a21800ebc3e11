use std::sync::Arc;

use bytes::BytesMut;

use crate::config;
use crate::config::mapping as mapping_files;
use crate::engine::Engine;
use crate::time::Timestamp;
use crate::wire::framing::Framer;
use crate::wire::plan::Plan;

const LAYOUT: &str = r##"
    [layout.short]
    separator = "|"
    marker = "^END"
    skip = ["^#"]
    columns = ["login_id", "state"]
    states = "cms-names"
"##;

/// Feeds reads, each at its time in milliseconds; a read of `-` is a silence of `snapshot_idle`. Returns what has come since the
/// last snapshot began.
fn since_begun(realtime: &str, reads: &[(i64, &str)]) -> String {
    let toml = format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n\
         [integration.realtime]\nport = 7001\nbind = \"127.0.0.1\"\nlayout = \"short\"\n{realtime}\n{LAYOUT}"
    );
    let config = config::parse(&toml, "rtalink.toml".as_ref(), []).config.unwrap();
    let integration = &config.integrations[0];
    let plan = Plan::compile(&integration.realtime.as_ref().unwrap().layout, "UTC").unwrap();
    let tables = Arc::new(mapping_files::read(&integration.mapping).unwrap());
    let mut engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    let (mut out, mut framer, mut buffer) = (Vec::new(), Framer::default(), BytesMut::new());
    let mut all = String::new();
    engine.open(7, &"peer".into(), Timestamp::from_millis(0), &mut out);
    for (millis, text) in reads {
        let at = Timestamp::from_millis(*millis);
        engine.tick(at, &mut out);
        if *text == "-" {
            engine.idle(7, at, &mut out);
            continue;
        }
        all.push_str(text);
        buffer.extend_from_slice(text.as_bytes());
        while let Some(piece) = framer.next(plan.ends(), &mut buffer) {
            engine.receive(7, &plan, &piece, at, &mut out);
        }
    }
    let begun = engine.begun().expect("a connection speaks");
    assert_eq!(begun.connection, 7);
    all[usize::try_from(begun.offset).unwrap()..].to_owned()
}

#[test]
fn a_snapshot_begins_behind_what_belongs_to_the_one_before() {
    /// Lines of the configuration, reads, and what is to have come since the last snapshot began.
    type Case = (&'static str, &'static [(i64, &'static str)], &'static str);
    let cases: &[Case] = &[
        // A connection begins with one, title lines and all.
        ("", &[(0, "# skills 7\n1|AVAIL\n2|AVAIL\n")], "# skills 7\n1|AVAIL\n2|AVAIL\n"),
        // With `repeat` the record that ends one is the first of the next, and so are the lines before it.
        ("", &[(0, "1|AVAIL\n2|AVAIL\n"), (3_000, "1|ACD\n2|AVAIL\n")], "1|ACD\n2|AVAIL\n"),
        ("", &[(0, "1|AVAIL\n2|AVAIL\n"), (3_000, "# 10:15\nbad\n1|AVAIL\n2|AV")], "# 10:15\nbad\n1|AVAIL\n2|AV"),
        // Half of a record came with the read before.
        ("", &[(0, "1|AVAIL\n2|AVAIL\n1|A"), (3_000, "VAIL\n2|AVAIL\n")], "1|AVAIL\n2|AVAIL\n"),
        // Too early for a refresh: it goes on.
        ("", &[(0, "1|AVAIL\n2|AVAIL\n1|ACD\n")], "1|AVAIL\n2|AVAIL\n1|ACD\n"),
        // Title lines behind a silence are the next one's, a total before it is not.
        (
            "",
            &[(0, "1|AVAIL\n2|AVAIL\n# 2 rows\n"), (600, "-"), (3_000, "# 10:15\n1|AVAIL\n2|AVAIL\n")],
            "# 10:15\n1|AVAIL\n2|AVAIL\n",
        ),
        ("snapshot_end = \"idle\"", &[(0, "1|AVAIL\n"), (600, "-"), (3_000, "# 10:15\n2|ACD\n")], "# 10:15\n2|ACD\n"),
        ("snapshot_end = \"marker\"", &[(0, "1|AVAIL\nEND\n# 10:15\n1|AVAIL\n")], "# 10:15\n1|AVAIL\n"),
        // Until somebody is in it, it is not known to have begun.
        ("snapshot_end = \"marker\"", &[(0, "1|AVAIL\nEND\n# 10:15\n")], "1|AVAIL\nEND\n# 10:15\n"),
        // What a silence has cut off goes on nowhere: the next one begins behind its end.
        (
            "snapshot_end = \"marker\"\nstale_after = \"10s\"",
            &[(0, "1|AVAIL\nEND\n1|AVAIL\n"), (60_000, "2|AVAIL\n")],
            "1|AVAIL\n2|AVAIL\n",
        ),
        (
            "snapshot_end = \"marker\"\nstale_after = \"10s\"",
            &[(0, "1|AVAIL\nEND\n1|AVAIL\n"), (60_000, "2|AVAIL\nEND\n1|ACD\n")],
            "1|ACD\n",
        ),
        // Every record is whole by itself.
        ("mode = \"event\"", &[(0, "1|AVAIL\n2|AVAIL\n# x\n")], "# x\n"),
    ];
    for (realtime, reads, expected) in cases {
        assert_eq!(since_begun(realtime, reads), *expected, "{realtime}: {reads:?}");
    }
}
