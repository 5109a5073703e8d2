//! From an artifact's bytes to its files, each in parts that the bucket takes. It works
//! on a thread of its own, between the download and the upload: what comes in is hashed,
//! unpacked, hashed again and passed on, and nothing is kept but the part being filled.

use bytes::{Bytes, BytesMut};
use commons_domain::names::Sha256;
use commons_domain::sums;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::archive::{Entry, Step, Walk};
use crate::members::{Member, Reader};

/// Bytes of a part: S3's smallest, of which an object may have 10,000.
pub const PART: usize = 5 * 1024 * 1024;
/// What a file's name ends in that signs another of the name before it.
const SIGNATURES: [&str; 7] = [
    ".asc",
    ".bundle",
    ".gpg",
    ".minisig",
    ".pem",
    ".sig",
    ".sigstore",
];
/// A file of sums that is longer is none.
const LONGEST_SUMS: usize = 4 * 1024 * 1024;

/// What an artifact is.
#[derive(Debug)]
pub enum Shape {
    /// A zip of these files.
    Zip(Vec<Entry>),
    /// One file, by its name.
    File(String),
}

/// What is passed on.
#[derive(Debug)]
pub enum Event {
    /// A file begins.
    Begin {
        /// Its path in the artifact.
        path: String,
    },
    /// A part of it, and its sum; all but the last have [`PART`] bytes.
    Part(Bytes, Sha256),
    /// It has ended.
    End(File),
}

/// One file that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path in the artifact.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: Sha256,
    /// What is within, if it is an archive.
    pub members: Vec<Member>,
    /// What it says of others, if it is a file of sums.
    pub sums: Vec<(String, Sha256)>,
}

/// What came of all bytes.
#[derive(Debug)]
pub struct Outcome {
    /// How many came.
    pub size: u64,
    /// Of all of them.
    pub sha256: Sha256,
    /// What is wrong with the archive, as the end of a sentence.
    pub fault: Option<String>,
    /// Why an archive within could not be looked into, though nothing is wrong with it.
    pub blind: Option<String>,
}

/// Takes all bytes of one artifact; blocking. Ends early where nobody takes the events.
pub fn work(shape: Shape, mut chunks: Receiver<Bytes>, to: Sender<Event>) -> Outcome {
    let mut files = Files {
        to,
        open: None,
        blind: None,
    };
    let mut all = Hasher::new();
    let mut size = 0;
    let mut walk = match shape {
        Shape::Zip(entries) => Some(Walk::new(entries)),
        Shape::File(path) => {
            files.begin(path);
            None
        }
    };
    let mut fault = None;
    while let Some(chunk) = chunks.blocking_recv() {
        all.update(&chunk);
        size += chunk.len() as u64;
        if fault.is_some() {
            // The sum of all bytes tells whether they came as they were sent.
            continue;
        }
        let taken = match &mut walk {
            Some(walk) => walk.feed(&chunk, &mut |step| files.step(step)),
            None => files.step(Step::Bytes(&chunk)),
        };
        fault = taken.err();
    }
    if fault.is_none() {
        let ended = match &walk {
            Some(walk) => walk.finish(),
            None => files.step(Step::End),
        };
        fault = ended.err();
    }
    Outcome {
        size,
        sha256: Sha256::from_bytes(all.finalize().into()),
        fault,
        blind: files.blind,
    }
}

/// Whether a file is one of sums, by its name.
fn is_sums(name: &str) -> bool {
    let signs = SIGNATURES.iter().any(|end| name.ends_with(end));
    name.starts_with("SHA256SUMS") && !signs && !name.ends_with(".sigstore.json")
}

/// The file that comes, on its way to the events.
struct Files {
    to: Sender<Event>,
    open: Option<Open>,
    blind: Option<String>,
}

struct Open {
    path: String,
    size: u64,
    all: Hasher,
    part: BytesMut,
    parts: usize,
    reader: Option<Reader>,
    sums: Option<Vec<u8>>,
}

impl Files {
    fn step(&mut self, step: Step<'_>) -> Result<(), String> {
        match step {
            Step::Begin(entry) => self.begin(entry.path.clone()),
            Step::Bytes(bytes) => self.bytes(bytes),
            Step::End => return self.end(),
        }
        Ok(())
    }

    fn begin(&mut self, path: String) {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.open = Some(Open {
            size: 0,
            all: Hasher::new(),
            part: BytesMut::new(),
            parts: 0,
            reader: Reader::of(name),
            sums: is_sums(name).then(Vec::new),
            path: path.clone(),
        });
        self.tell(Event::Begin { path });
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        let Some(open) = &mut self.open else {
            return;
        };
        open.size += bytes.len() as u64;
        open.all.update(bytes);
        if let Some(reader) = &open.reader {
            reader.pass(bytes);
        }
        if let Some(sums) = &mut open.sums {
            let room = LONGEST_SUMS.saturating_sub(sums.len());
            sums.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let mut full = Vec::new();
        while !bytes.is_empty() {
            // A full part waits until it is known that it is not the last one.
            if open.part.len() == PART {
                full.push(open.part.split().freeze());
                open.parts += 1;
            }
            let take = bytes.len().min(PART - open.part.len());
            open.part.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
        }
        for part in full {
            let sha256 = Sha256::of(&part);
            self.tell(Event::Part(part, sha256));
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let sha256 = Sha256::from_bytes(open.all.finalize().into());
        let last = open.part.freeze();
        // Of a file of one part the sums are the same.
        let sum = if open.parts == 0 {
            sha256.clone()
        } else {
            Sha256::of(&last)
        };
        let sums = match open.sums {
            Some(_) if open.size > LONGEST_SUMS as u64 => {
                return Err(format!("'{}' is too long for a file of sums", open.path));
            }
            Some(text) => {
                let text = String::from_utf8(text);
                let text = text.map_err(|_| format!("'{}' is not UTF-8", open.path))?;
                sums::parse(&text).map_err(|why| format!("'{}': {why}", open.path))?
            }
            None => Vec::new(),
        };
        let members = match open.reader.map(Reader::finish) {
            Some(Err(error)) => {
                let path = &open.path;
                self.blind = Some(format!("the disk has no room for '{path}': {error}"));
                return Ok(());
            }
            Some(Ok(members)) => members,
            None => Vec::new(),
        };
        self.tell(Event::Part(last, sum));
        self.tell(Event::End(File {
            path: open.path,
            size: open.size,
            sha256,
            members,
            sums,
        }));
        Ok(())
    }

    fn tell(&self, event: Event) {
        // Who takes the events says himself why he stopped.
        let _ = self.to.blocking_send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::channel;

    async fn come(shape: Shape, chunks: Vec<Bytes>) -> (Outcome, Vec<Event>) {
        let (send, receive) = channel(1);
        let (to, mut events) = channel(1);
        let work = tokio::task::spawn_blocking(move || work(shape, receive, to));
        let sending = async move {
            for chunk in chunks {
                send.send(chunk).await.unwrap();
            }
        };
        let taking = async {
            let mut all = Vec::new();
            while let Some(event) = events.recv().await {
                all.push(event);
            }
            all
        };
        let ((), all) = tokio::join!(sending, taking);
        (work.await.unwrap(), all)
    }

    #[tokio::test]
    async fn a_file_comes_in_parts_and_only_the_last_is_small() {
        for size in [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 7] {
            let content: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let chunks = content.chunks(70_000).map(Bytes::copy_from_slice).collect();
            let (outcome, events) = come(Shape::File("x".into()), chunks).await;
            assert_eq!(outcome.fault, None);
            assert_eq!(outcome.sha256, Sha256::of(&content));
            let mut together = Vec::new();
            let parts = events.len() - 2;
            for (n, event) in events.iter().skip(1).take(parts).enumerate() {
                let Event::Part(bytes, sha256) = event else {
                    panic!("{event:?}");
                };
                assert!(bytes.len() == PART || n + 1 == parts, "{size}: {n}");
                assert_eq!(*sha256, Sha256::of(bytes));
                together.extend_from_slice(bytes);
            }
            assert!(together == content, "{size}");
            assert_eq!(parts, size.div_ceil(PART).max(1), "{size}");
            let Some(Event::End(file)) = events.last() else {
                panic!("{size}: no end");
            };
            assert_eq!((file.size, &file.sha256), (size as u64, &outcome.sha256));
        }
    }

    #[tokio::test]
    async fn a_file_of_sums_is_read_and_one_that_is_none_is_a_fault() {
        let sum = Sha256::of(b"1");
        let shape = || Shape::File("SHA256SUMS.txt".into());
        let good = Bytes::from(format!("{sum}  x\n"));
        let (outcome, events) = come(shape(), vec![good]).await;
        assert_eq!(outcome.fault, None);
        let Some(Event::End(file)) = events.last() else {
            panic!("no end");
        };
        assert_eq!(file.sums, [("x".to_owned(), sum)]);
        let (outcome, _) = come(shape(), vec![Bytes::from("what?")]).await;
        let fault = outcome.fault.unwrap();
        assert_eq!(fault, "'SHA256SUMS.txt': line 1 is no SHA-256 sum");
    }

    #[test]
    fn a_signature_of_sums_is_none() {
        for name in ["SHA256SUMS", "SHA256SUMS-bllvm-linux", "SHA256SUMS.txt"] {
            assert!(is_sums(name), "{name}");
            for end in ["asc", "sig", "sigstore.json"] {
                assert!(!is_sums(&format!("{name}.{end}")), "{name}.{end}");
            }
        }
        assert!(!is_sums("README"));
    }

    #[tokio::test]
    async fn who_takes_nothing_more_stops_nobody() {
        let (send, receive) = channel(1);
        let (to, events) = channel(1);
        drop(events);
        let shape = Shape::File("x".into());
        let work = tokio::task::spawn_blocking(move || work(shape, receive, to));
        send.send(Bytes::from_static(b"1")).await.unwrap();
        drop(send);
        assert_eq!(work.await.unwrap().size, 1);
    }
}
