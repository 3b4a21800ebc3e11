use super::*;

fn seconds(report: &AgentReport, login_id: &str) -> Vec<(String, u64)> {
    let times = &report.agents[login_id];
    report.figures.iter().zip(times).map(|(figure, time)| (figure.to_string(), time.as_secs())).collect()
}

#[test]
fn a_report_is_read_however_it_is_written() {
    let expected = [("staffed", 3_600), ("avail", 600), ("aux", 125), ("aux 3", 65)];
    let expected: Vec<(String, u64)> = expected.map(|(name, time)| (name.to_owned(), time)).into();
    let cases: [&[u8]; 4] = [
        b"login_id,staffed,available,aux,aux 3\n0471,3600,10:00,2:05,1:05\n",
        b"\xef\xbb\xbfLogin ID;Staffed Time;AVAIL Time;Aux Time;Time in AUX 3\r\n0471;1:00:00;600;125;65\r\n",
        b"Agent Report\tMonday\r\n\r\nAgent Name\tLOGID\tI_STAFFTIME\tI_AVAILTIME\tTI_AUXTIME\tTI_AUXTIME3\r\n\
          \"M\xfcller, A\"\t0471\t3600\t600\t125\t65\r\n",
        b"Anmelde-ID;Anmeldezeit;Verf\xfcgbar;AUX-Zeit;AUX 3 Zeit\n0471;3600;600;125;65\n;;;;\n;9;9;9;9\n",
    ];
    for case in cases {
        let report = AgentReport::parse(case);
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(case)));
        assert_eq!(seconds(&report, "0471"), expected, "{}", String::from_utf8_lossy(case));
        assert_eq!(report.agents.len(), 1);
    }
    let report = AgentReport::parse(b"name,acd,ring time,login\nA,:05,-,1\nTotal,9,9\n,9,9,TOTALS\n").unwrap();
    assert_eq!((report.ignored, report.without_login), (vec!["name".to_owned()], 2));
    assert_eq!(report.agents["1"], [Duration::from_secs(5), Duration::ZERO]);
}

#[test]
fn headers_of_all_figures() {
    let cases = [
        ("DA ACD Time", "dacd"),
        ("I_DA_ACWTIME", "dacw"),
        ("Ringing", "ring"),
        ("OTHER", "other"),
        ("ACW-Zeit", "acw"),
        ("I_ACDTIME", "acd"),
        ("AUX_TIME_0", "aux 0"),
        ("Aux Reason 12", "aux 12"),
        ("Time in Aux 7", "aux 7"),
    ];
    for (header, expected) in cases {
        let Some(Heading::Figure(figure)) = Heading::of(header) else { panic!("{header}") };
        assert_eq!(figure.to_string(), expected, "{header}");
    }
    for header in ["", "ACD calls", "aux 100", "aux out", "Agent Name", "i_", "acd 1", "avg acd time"] {
        assert_eq!(Heading::of(header), None, "{header}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases: [(&[u8], &[&str]); 8] = [
        (b"", &["no header: expected a line with a column \"login id\"", "the first line is \"\""]),
        (b"login id,name\n1,A\n", &["at least one of staffed, available", "\"login id,name\""]),
        (b"login id,acd\n\n", &["no agent: expected rows below the header in line 1"]),
        (
            b"login id,acd,aux\n1,12.5,x\n2,1:75,3\n",
            &[
                "line 2: acd: expected seconds, m:ss or h:mm:ss, found \"12.5\"",
                "line 2: aux: expected seconds, m:ss or h:mm:ss, found \"x\"",
                "line 3: acd: expected seconds, m:ss or h:mm:ss, found \"1:75\"",
            ],
        ),
        (
            b"login id,acd\n1,5\n2,5\n1,6\n",
            &["line 4: login id \"1\" is in line 2 already: expected one row per agent"],
        ),
        (b"login id;ACD;ACD Time\n1;5;5\n", &["line 1: columns \"ACD\" and \"ACD Time\" say the same: remove one"]),
        (b"PK\x03\x04", &["line 1: this is a workbook (.xlsx or .ods), not a list: save the sheet as \"CSV UTF-8"]),
        (b"title\r\n\r\n\r\nlogin id;acd\r\n\r\n1;x\r\n", &["line 6: acd: expected seconds"]),
    ];
    for (file, expected) in cases {
        let told = AgentReport::parse(file).unwrap_err().to_string();
        for expected in expected {
            assert!(told.contains(expected), "{told}");
        }
    }
    let many = (0..30).fold("login id,acd\n".to_owned(), |text, agent| format!("{text}{agent},x\n"));
    let told = AgentReport::parse(many.as_bytes()).unwrap_err().to_string();
    assert_eq!((told.lines().count(), told.lines().last()), (MOST_PROBLEMS + 1, Some("and 10 more")));
}
