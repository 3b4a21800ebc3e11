//! Where the columns of fixed width begin.

use super::*;

fn starts(records: &[&str], agents: Option<&[usize]>) -> Vec<usize> {
    let records: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
    places(&records, agents).iter().map(|place| place.at).collect()
}

type Case<'a> = (&'a [&'a str], Option<&'a [usize]>, &'a [usize]);

#[test]
fn columns_begin_where_something_changes() {
    let cases: [Case<'_>; 7] = [
        // Gaps.
        (&["301204  32  232", "301205  50  7", "4711    20  77"], None, &[0, 8, 12]),
        // Digits stop, and more records have something.
        (&["0000301204ACD  IN 12", "0000301205AUX     7", "0000301206AVAILIN 99"], None, &[0, 10, 15, 18]),
        // Padded on the left.
        (&["1001    5 A", "1002   15 B", "1003  200 C"], None, &[0, 5, 10]),
        // A date is one value.
        (&["1001 05.01.2026 08:00:00 7", "1002 05.01.2026 08:00:03 8"], None, &[0, 5, 25]),
        (&["1001 00:12", "1002 04:10", "1003 10:59"], None, &[0, 5]),
        // A time that touches a duration.
        (
            &["1001 20260105120000:07   S02", "1002 2026010512000029:00 S11", "1003 202601051200001:57  S03"],
            None,
            &[0, 5, 19, 25],
        ),
        // What changes is another column than what does not.
        (
            &["301232", "301320", "301420", "301220", "301332", "301442", "301242", "301341", "301432", "301220"],
            Some(&[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]),
            &[0, 4],
        ),
    ];
    for (records, agents, expected) in cases {
        assert_eq!(starts(records, agents), expected, "{records:?}");
    }
}
