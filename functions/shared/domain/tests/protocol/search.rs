//! Breadth first over every state, and back from the ends.
//!
//! A state is remembered by a fingerprint of 128 bits: two of some millions of states
//! have the same one with a chance below 10⁻²⁴.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Instant;

use crate::check;
use crate::step::{Model, Out};
use crate::world::World;

/// What a search has seen.
pub struct Explored {
    pub states: usize,
    pub transitions: usize,
    pub ends: usize,
    pub seconds: f64,
    pub broken: Option<Broken>,
}

/// What does not hold, and the shortest way to it.
pub struct Broken {
    pub what: String,
    pub trace: Vec<String>,
}

/// Explores a model to its end, or to the first state in which something is broken.
pub fn explore(m: &Model) -> Explored {
    let began = Instant::now();
    let first = m.first();
    let mut known: HashMap<u128, u32, Mix> = HashMap::default();
    let mut came: Vec<(u32, u16)> = vec![(0, 0)];
    let mut ends: Vec<bool> = vec![check::is_end(m, &first)];
    let (mut targets, mut offsets): (Vec<u32>, Vec<u32>) = (Vec::new(), vec![0]);
    let mut todo = VecDeque::from([first]);
    known.insert(fingerprint(&first), 0);
    let (mut here, mut broken) = (0_u32, None);
    let mut out = Out::default();
    'search: while let Some(world) = todo.pop_front() {
        out.next.clear();
        m.next(&world, &mut out);
        for (nth, (_, _, next)) in out.next.iter().enumerate() {
            let id = came.len() as u32;
            let id = *known.entry(fingerprint(next)).or_insert(id);
            targets.push(id);
            if id as usize != came.len() {
                continue;
            }
            came.push((here, nth as u16));
            let end = check::is_end(m, next);
            ends.push(end);
            let mut what = check::state(m, next);
            if end && m.config.same_end && !check::is_published(m, next) {
                what = what.or(Some("7: an end differs from that without faults"));
            }
            if let Some(what) = what {
                broken = Some((what, id));
                break 'search;
            }
            todo.push_back(*next);
        }
        offsets.push(targets.len() as u32);
        here += 1;
    }
    if broken.is_none() {
        broken = stuck(&ends, &targets, &offsets).map(|id| ("no end can be reached", id));
    }
    Explored {
        states: came.len(),
        transitions: targets.len(),
        ends: ends.iter().filter(|end| **end).count(),
        seconds: began.elapsed().as_secs_f64(),
        broken: broken.map(|(what, id)| Broken {
            what: what.to_owned(),
            trace: trace(m, &came, id),
        }),
    }
}

/// The first state from which no end can be reached.
fn stuck(ends: &[bool], targets: &[u32], offsets: &[u32]) -> Option<u32> {
    let mut before = vec![0_u32; ends.len() + 1];
    for target in targets {
        before[*target as usize + 1] += 1;
    }
    for n in 0..ends.len() {
        before[n + 1] += before[n];
    }
    let mut at = before.clone();
    let mut sources = vec![0_u32; targets.len()];
    for (source, range) in offsets.windows(2).enumerate() {
        for target in &targets[range[0] as usize..range[1] as usize] {
            let slot = &mut at[*target as usize];
            sources[*slot as usize] = source as u32;
            *slot += 1;
        }
    }
    let mut reaches = ends.to_vec();
    let mut todo: Vec<u32> = (0..ends.len() as u32)
        .filter(|n| ends[*n as usize])
        .collect();
    while let Some(n) = todo.pop() {
        let n = n as usize;
        for source in &sources[before[n] as usize..before[n + 1] as usize] {
            if !reaches[*source as usize] {
                reaches[*source as usize] = true;
                todo.push(*source);
            }
        }
    }
    reaches
        .iter()
        .position(|reached| !reached)
        .map(|n| n as u32)
}

/// The steps that led to a state, played again.
fn trace(m: &Model, came: &[(u32, u16)], mut id: u32) -> Vec<String> {
    let mut path = Vec::new();
    while id != 0 {
        let (from, nth) = came[id as usize];
        path.push(nth);
        id = from;
    }
    let mut world: World = m.first();
    let mut steps = Vec::new();
    for nth in path.into_iter().rev() {
        let mut out = Out::default();
        m.next(&world, &mut out);
        let (name, who, next) = out.next.swap_remove(nth.into());
        steps.push(match who {
            Some((who, stage, r, c)) => {
                let c = ["a", "b", "c", "-"][usize::from(c)];
                format!("{who:?} {stage:?} of {c} of v{}: {name}", r + 1)
            }
            None => name.to_owned(),
        });
        world = next;
    }
    if std::env::var_os("PROTOCOL_STATE").is_some() {
        steps.push(format!("{world:#?}"));
    }
    steps
}

fn fingerprint(world: &World) -> u128 {
    let mut mixer = Mixer::default();
    world.hash(&mut mixer);
    mixer.flush();
    (u128::from(mixer.a) << 64) | u128::from(mixer.b)
}

/// Hashes many small integers fast.
#[derive(Clone, Copy, Default)]
pub struct Mix;

impl BuildHasher for Mix {
    type Hasher = Mixer;
    fn build_hasher(&self) -> Mixer {
        Mixer::default()
    }
}

/// Two lanes over words of eight bytes.
#[derive(Default)]
pub struct Mixer {
    a: u64,
    b: u64,
    word: u64,
    bytes: u32,
}

fn folded(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.a = folded(self.a ^ word ^ 0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93);
        self.b = folded(
            self.b.rotate_left(23) ^ word ^ 0xA076_1D64_78BD_642F,
            0xE703_7ED1_A0B4_28DB,
        );
    }

    fn flush(&mut self) {
        let (word, bytes) = (self.word, self.bytes);
        self.mix(word ^ (u64::from(bytes) << 60));
        (self.word, self.bytes) = (0, 0);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.word = self.word << 8 | u64::from(byte);
        self.bytes += 1;
        if self.bytes == 8 {
            let word = self.word;
            self.mix(word);
            (self.word, self.bytes) = (0, 0);
        }
    }

    // Lengths are the same in every state, and discriminants are small.
    fn write_usize(&mut self, _: usize) {}

    fn write_isize(&mut self, value: isize) {
        self.write_u8(value as u8);
    }

    fn write_u128(&mut self, value: u128) {
        self.mix(value as u64);
        self.mix((value >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        let word = self.word ^ (u64::from(self.bytes) << 60);
        folded(self.a ^ word, 0xD6E8_FEB8_6659_FD93) ^ self.b
    }
}
