//! What the artifacts hold: bytes that do not pack and text that does, the same for the
//! same seed.

use fastrand::Rng;

const WORDS: [&str; 16] = [
    "artifact", "release", "build", "entry", "offset", "sum", "part", "store", "upload", "walk",
    "chunk", "total", "record", "verify", "length", "header",
];

/// Random bytes.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Lines that look like source text.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut text = String::with_capacity(length + 200);
    while text.len() < length {
        let mut word = || WORDS[random.usize(..WORDS.len())];
        let (a, b, c, d) = (word(), word(), word(), word());
        let (indent, number) = (4 * random.usize(1..5), random.u32(..100_000));
        let line = match random.u8(..4) {
            0 => format!("{:indent$}let {a}_{b} = self.{c}.{d}({number})?;\n", ""),
            1 => format!("{:indent$}if {a}.{b}() > {number} {{\n", ""),
            2 => format!("{:indent$}}} // the {a} of the {b} is its {c}'s {d}\n", ""),
            _ => format!("{:indent$}{a}.push({b}::{c}(\"{d} {number}\"));\n", ""),
        };
        text.push_str(&line);
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(length);
    bytes
}
