use proptest::prelude::*;

use super::*;

const PAUSE: Duration = Duration::from_millis(500);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn passage(targets: &[TargetId]) -> Passage {
    let mut passage = Passage::new(PauseRule { pause: PAUSE, after: Duration::from_secs(90) });
    passage.begin();
    targets.iter().for_each(|target| passage.add(*target));
    passage
}

/// Sends all that there is for a target.
fn given(passage: &mut Passage, target: TargetId) -> String {
    let mut all = String::new();
    while let Next::Send(bytes) = passage.next(target) {
        all.push_str(std::str::from_utf8(&bytes).unwrap());
        passage.given(target, bytes.len());
    }
    all
}

fn dropped(passage: &mut Passage) -> Vec<(TargetId, Dropped)> {
    passage.take_dropped().collect()
}

fn push(passage: &mut Passage, text: &str, millis: i64) {
    passage.push(Bytes::copy_from_slice(text.as_bytes()), at(millis));
}

#[test]
fn a_target_that_is_there_soon_misses_nothing() {
    let mut passage = passage(&[1]);
    push(&mut passage, "a1b", 0);
    push(&mut passage, "1a2", 10);
    passage.snapshot_begins(4, at(10));
    passage.connected(1);
    assert_eq!(given(&mut passage, 1), "a1b1a2", "from the first byte, though another snapshot has begun");
    assert_eq!(dropped(&mut passage), []);
    passage.end();
    assert_eq!(passage.next(1), Next::Over);
}

#[test]
fn a_target_that_comes_back_begins_with_a_snapshot() {
    let mut passage = passage(&[1, 2]);
    passage.connected(1);
    passage.connected(2);
    push(&mut passage, "a1b1", 0);
    assert_eq!(given(&mut passage, 1), "a1b1");
    passage.disconnected(1, DropReason::NotConnected);
    push(&mut passage, "a2b2", 3_000);
    passage.snapshot_begins(4, at(3_000));
    push(&mut passage, "a3", 6_000);
    passage.snapshot_begins(8, at(6_000));
    push(&mut passage, "b3", 6_010);
    assert_eq!(given(&mut passage, 2), "a1b1a2b2a3b3", "the other one has noticed nothing");
    passage.connected(1);
    assert_eq!(given(&mut passage, 1), "a3b3", "the snapshot that is being read, from its beginning");
    assert_eq!(dropped(&mut passage), [(1, [0, 4])]);
}

#[test]
fn what_is_told_in_hindsight_is_still_there() {
    let mut passage = passage(&[1]);
    push(&mut passage, "a1b1", 0);
    passage.disconnected(1, DropReason::NotConnected);
    passage.boundary = None;
    passage.connected(1);
    push(&mut passage, "c1a2b2", 3_000);
    assert_eq!((given(&mut passage, 1).as_str(), passage.next(1)), ("", Next::Wait));
    passage.snapshot_begins(6, at(3_001));
    assert_eq!(given(&mut passage, 1), "a2b2");
    assert_eq!(dropped(&mut passage), [(1, [0, 6])]);
}

#[test]
fn who_is_too_slow_is_cut_off_and_the_others_are_not() {
    let mut passage = passage(&[1, 2]);
    passage.connected(1);
    passage.connected(2);
    let megabyte = "x".repeat(1024 * 1024);
    for read in 0..20 {
        push(&mut passage, &megabyte, read);
        assert_eq!(given(&mut passage, 2).len(), megabyte.len());
        assert!(passage.kept() <= MAX_KEPT);
    }
    assert_eq!(passage.next(1), Next::TooSlow);
    assert_eq!(passage.next(2), Next::Wait);
    let [(1, [slow, 0])] = dropped(&mut passage)[..] else { panic!("only one is too slow") };
    assert_eq!(slow, 5 * 1024 * 1024, "the overhead of each read counts, so that one fits in less");
    // It is back, and gets nothing of the snapshot whose beginning is gone.
    passage.disconnected(1, DropReason::TooSlow);
    passage.connected(1);
    assert_eq!(passage.next(1), Next::Wait);
    passage.snapshot_begins(20 * 1024 * 1024, at(30));
    push(&mut passage, "a2", 31);
    assert_eq!(given(&mut passage, 1), "a2");
    assert_eq!(dropped(&mut passage), [(1, [15 * 1024 * 1024, 0])]);
}

#[test]
fn small_reads_do_not_keep_more_than_large_ones() {
    let mut passage = passage(&[1]);
    passage.connected(1);
    for read in 0..400_000 {
        push(&mut passage, "x", read);
    }
    assert!(passage.kept() <= MAX_KEPT && passage.chunks.len() <= MAX_KEPT / OVERHEAD);
    assert_eq!(passage.next(1), Next::TooSlow);
}

#[test]
fn a_connection_that_does_not_speak_yet_keeps_its_first_bytes_while_they_are_few() {
    for (kibibytes, expected) in [(900, "begins"), (1_100, "waits")] {
        let mut passage = Passage::new(PauseRule { pause: PAUSE, after: Duration::from_secs(90) });
        for _ in 0..kibibytes {
            push(&mut passage, &"x".repeat(1024), 0);
        }
        assert!(passage.kept() <= MAX_KEPT_WAITING);
        passage.begin();
        passage.add(1);
        passage.connected(1);
        let begins = if matches!(passage.next(1), Next::Send(_)) { "begins" } else { "waits" };
        assert_eq!(begins, expected, "{kibibytes} KiB");
    }
}

#[test]
fn a_pause_counts_only_where_the_layout_finds_no_snapshot_for_long() {
    // Seconds of reads; which of them a target that comes back after the first begins with.
    for (told, expected) in [(false, "33"), (true, "")] {
        let mut passage = passage(&[1]);
        push(&mut passage, "0", 0);
        passage.connected(1);
        given(&mut passage, 1);
        passage.disconnected(1, DropReason::NotConnected);
        passage.boundary = None;
        passage.connected(1);
        push(&mut passage, "1", 60_000);
        if told {
            passage.told_at = Some(at(60_000));
        }
        push(&mut passage, "2", 89_000);
        push(&mut passage, "3", 92_000);
        push(&mut passage, "3", 92_100);
        assert_eq!(given(&mut passage, 1), expected);
    }
}

#[test]
fn without_targets_nothing_is_kept() {
    let mut passage = passage(&[]);
    push(&mut passage, "a1", 0);
    passage.pass_over(1_000);
    assert_eq!((passage.kept(), passage.end), (0, 1_002));
    passage.add(1);
    passage.connected(1);
    push(&mut passage, "b1a2", 1);
    assert_eq!(given(&mut passage, 1), "");
    passage.snapshot_begins(1_004, at(2));
    assert_eq!(given(&mut passage, 1), "a2");
    assert_eq!(dropped(&mut passage), [(1, [0, 2])]);
}

#[derive(Clone, Debug)]
enum Step {
    Read(u16),
    Begins,
    Connects,
    Loses,
    Takes(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u16..2_000).prop_map(Step::Read),
        2 => Just(Step::Begins),
        1 => Just(Step::Connects),
        1 => Just(Step::Loses),
        4 => (1_u16..3_000).prop_map(Step::Takes),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    /// Each byte says of which snapshot it is: what a connection of the target gets begins with the first byte of one, and goes
    /// on without a hole. What it was not given is counted.
    #[test]
    fn what_a_target_gets_begins_with_a_snapshot_and_has_no_hole(steps in steps(), most in 500_usize..20_000) {
        let mut passage = passage(&[1]);
        passage.most = most;
        let mut sent: Vec<u8> = Vec::new();
        let mut starts = vec![0_usize];
        // The offset of the first byte of a connection of the target, and its length.
        let (mut got, mut is_connected): (Vec<(Option<usize>, usize)>, bool) = (Vec::new(), false);
        passage.disconnected(1, DropReason::NotConnected);
        let mut counted = 0;
        for step in steps {
            match step {
                Step::Read(length) => {
                    let begin = sent.len();
                    // Bytes differ from those at any distance that could be mistaken for theirs.
                    let bytes: Vec<u8> = (begin..begin + usize::from(length)).map(|at| (at % 251) as u8 ^ (at >> 8) as u8).collect();
                    sent.extend(&bytes);
                    passage.push(bytes.into(), at(0));
                }
                Step::Begins if sent.len() > starts[starts.len() - 1] => {
                    starts.push(sent.len());
                    passage.snapshot_begins(sent.len() as u64, at(0));
                }
                Step::Connects if !is_connected => {
                    is_connected = true;
                    got.push((None, 0));
                    passage.connected(1);
                }
                Step::Loses if is_connected => {
                    is_connected = false;
                    passage.disconnected(1, DropReason::NotConnected);
                }
                Step::Takes(most) if is_connected => match passage.next(1) {
                    Next::Send(bytes) => {
                        let (first, length) = got.last_mut().unwrap();
                        let position = usize::try_from(passage.recipients[&1].position).unwrap();
                        let first = *first.get_or_insert(position);
                        prop_assert_eq!(position, first + *length, "a hole");
                        prop_assert!(starts.contains(&first), "{} is no beginning", first);
                        let taken = bytes.len().min(usize::from(most));
                        prop_assert_eq!(&bytes[..taken], &sent[position..position + taken]);
                        *length += taken;
                        passage.given(1, taken);
                    }
                    Next::TooSlow => {
                        is_connected = false;
                        passage.disconnected(1, DropReason::TooSlow);
                    }
                    Next::Wait => {}
                    Next::Over => prop_assert!(false, "over too early"),
                },
                Step::Begins | Step::Connects | Step::Loses | Step::Takes(_) => {}
            }
            prop_assert!(passage.kept() <= most.max(OVERHEAD + 2_000));
            counted += passage.take_dropped().map(|(_, dropped)| dropped.iter().sum::<u64>()).sum::<u64>();
        }
        passage.end();
        counted += passage.remove(1, DropReason::TooSlow).iter().sum::<u64>();
        // Given twice is what a target gets again of a snapshot that it lost.
        let mut given = vec![0_u8; sent.len()];
        got.iter().for_each(|(first, length)| {
            (0..*length).for_each(|at| given[first.unwrap() + at] = 1);
        });
        let given: u64 = given.iter().map(|given| u64::from(*given)).sum();
        prop_assert_eq!(given + counted, sent.len() as u64);
    }
}
