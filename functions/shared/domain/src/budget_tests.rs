use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits::new(80, 500, 1, Speed(1.0)));

fn release(name: &str) -> ReleaseKey {
    ReleaseKey::new(&format!("o/{name}/v0.1.0")).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// As many writes as are granted in this second.
fn write_at(
    budget: &mut Budget,
    who: &ReleaseKey,
    write: Write,
    second: i64,
    most: usize,
) -> usize {
    for granted in 0..most {
        let (next, answer) = budget.ask(who, write, at(second), &LIMITS);
        *budget = next;
        if matches!(answer, Answer::AskAt(_)) {
            return granted;
        }
    }
    most
}

#[test]
fn a_minute_s_limit_is_kept_and_a_tenth_is_left_for_who_begins() {
    let (mut budget, a, b) = (Budget::default(), release("a"), release("b"));
    assert_eq!(write_at(&mut budget, &a, Write::Dispatch, 0, 100), 72);
    assert_eq!(write_at(&mut budget, &b, Write::Dispatch, 1, 100), 8);
    let (same, answer) = budget.ask(&a, Write::Dispatch, at(2), &LIMITS);
    assert_eq!(answer, Answer::AskAt(at(60)));
    assert_eq!(same, budget, "who waits already changes nothing");
    // Who has written less comes first, and then nobody is waited for.
    let (_, answer) = budget.ask(&a, Write::Dispatch, at(61), &LIMITS);
    assert!(matches!(answer, Answer::AskAt(_)), "{answer:?}");
    assert_eq!(write_at(&mut budget, &b, Write::Dispatch, 61, 1), 1);
    assert_eq!(write_at(&mut budget, &a, Write::Dispatch, 61, 1), 1);
}

#[test]
fn who_was_told_to_come_back_and_does_not_is_not_waited_for_long() {
    let (mut budget, a, b) = (Budget::default(), release("a"), release("b"));
    write_at(&mut budget, &a, Write::Dispatch, 0, 100);
    write_at(&mut budget, &b, Write::Dispatch, 1, 100);
    let (next, answer) = budget.ask(&a, Write::Dispatch, at(62), &LIMITS);
    budget = next;
    let Answer::AskAt(then) = answer else {
        panic!("b comes first");
    };
    assert!(then <= at(61 + 66), "{then}");
    assert!(write_at(&mut budget, &a, Write::Dispatch, then.as_second() + 1, 1) == 1);
}

#[test]
fn publish_s_writes_stand_a_second_apart_whoever_publishes() {
    let (mut budget, a, b) = (Budget::default(), release("a"), release("b"));
    let mut begin = |who: &ReleaseKey, write| {
        let (next, answer) = budget.ask(who, write, at(10), &LIMITS);
        budget = next;
        answer
    };
    assert_eq!(begin(&a, Write::Content), Answer::At(at(10)));
    assert_eq!(begin(&b, Write::Content), Answer::At(at(11)));
    assert_eq!(begin(&a, Write::Dispatch), Answer::At(at(10)));
    assert_eq!(begin(&a, Write::Content), Answer::At(at(12)));
}

#[test]
fn an_hour_of_500_writes_is_an_item_of_a_few_kilobytes() {
    let (mut budget, a, b) = (Budget::default(), release("a"), release("b"));
    for second in 0..500 {
        write_at(&mut budget, &a, Write::Content, second, 1);
        write_at(&mut budget, &b, Write::Dispatch, second, 1);
    }
    let json = serde_json::to_string(&budget).unwrap();
    assert!(json.len() < 8_000, "{}", json.len());
    assert_eq!(budget.written.values().map(Vec::len).sum::<usize>(), 450);
}

/// Releases that all want to write all the time, each asking again when it was told to;
/// what each wrote in this many seconds.
fn contend(seconds: i64, begins: &[i64]) -> Vec<usize> {
    let mut budget = Budget::default();
    let mut due: BTreeMap<usize, i64> = begins.iter().copied().enumerate().collect();
    let mut all: Vec<i64> = Vec::new();
    let mut counts = vec![0; begins.len()];
    for second in 0..seconds {
        for (n, due) in &mut due {
            if *due > second {
                continue;
            }
            let who = release(&format!("r{n}"));
            let (next, answer) = budget.ask(&who, Write::Content, at(second), &LIMITS);
            budget = next;
            *due = match answer {
                Answer::At(begins) => {
                    all.push(begins.as_second());
                    counts[*n] += 1;
                    begins.as_second() + 1
                }
                Answer::AskAt(then) => then.as_second() + 1,
            };
        }
    }
    all.sort_unstable();
    for (most, window) in [(80, 60), (500, 3600)] {
        for (n, last) in all.iter().enumerate().skip(most) {
            let span = last - all[n - most];
            assert!(span >= window, "{most} + 1 writes in {span} s");
        }
    }
    counts
}

#[test]
fn who_comes_later_need_not_wait_for_the_hour_of_another() {
    let counts = contend(1_000, &[0, 900]);
    assert!(counts[0] >= 440, "{counts:?}");
    assert!(counts[1] >= 40, "{counts:?}");
}

#[test]
fn releases_that_write_all_the_time_write_alike() {
    let counts = contend(6 * 3600, &[0, 0, 0]);
    let most = counts.iter().max().unwrap();
    let least = counts.iter().min().unwrap();
    assert!(most - least <= most / 10, "{counts:?}");
    // What is kept for who begins is the price.
    assert!(counts.iter().sum::<usize>() >= 6 * 430, "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_window_ever_holds_more_than_its_limit(begins in prop::collection::vec(0i64..4000, 1..6)) {
        let counts = contend(2 * 3600, &begins);
        prop_assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}
