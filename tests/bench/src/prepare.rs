//! The artifacts: the same bytes every time.

use std::path::Path;

use crate::content;
use crate::pack::{Archive, Packer};
use crate::source::Artifact;

/// The run whose collecting is measured, of four artifacts.
pub const CLEAN: u64 = 1;
/// The run whose collecting is killed: the same, three times.
pub const KILLED: u64 = 2;
/// The run of one large artifact.
pub const LARGE: u64 = 3;

const ARTIFACTS: u64 = 4;
/// Files of an artifact, half of them noise and half text, and their bytes.
const FILES: u64 = 8;
const FILE: usize = 32 * 1024 * 1024;
/// How often the large one repeats a file, for 5 GB in all: noise and text.
const NOISE: u64 = 128;
const TEXT: u64 = 128;

/// Writes them below a folder, four at a time.
pub fn all(folder: &Path) -> std::io::Result<Vec<Artifact>> {
    let archives: Vec<Archive> = std::thread::scope(|scope| {
        let packing: Vec<_> = (0..ARTIFACTS)
            .map(|n| scope.spawn(move || usual(folder, n)))
            .collect();
        packing
            .into_iter()
            .map(|packed| {
                let packed = packed.join();
                packed.unwrap_or_else(|_| Err(std::io::Error::other("the packing panicked")))
            })
            .collect::<std::io::Result<_>>()
    })?;
    let mut artifacts = Vec::new();
    for (run, times) in [(CLEAN, 1), (KILLED, 3)] {
        for (n, archive) in archives
            .iter()
            .cycle()
            .take(archives.len() * times)
            .enumerate()
        {
            let id = 100 * run + n as u64;
            artifacts.push(Artifact {
                id,
                run,
                archive: archive.clone(),
            });
        }
    }
    artifacts.push(Artifact {
        id: 100 * LARGE,
        run: LARGE,
        archive: large(folder)?,
    });
    Ok(artifacts)
}

fn usual(folder: &Path, n: u64) -> std::io::Result<Archive> {
    let mut packer = Packer::new(&folder.join(format!("{n}.zip")))?;
    for file in 0..FILES {
        let seed = n * FILES + file;
        if file % 2 == 0 {
            packer.add(&format!("noise-{seed}.bin"), &content::noise(seed, FILE), 1)?;
        } else {
            packer.add(&format!("text-{seed}.rs"), &content::text(seed, FILE), 1)?;
        }
    }
    packer.finish()
}

fn large(folder: &Path) -> std::io::Result<Archive> {
    let mut packer = Packer::new(&folder.join("large.zip"))?;
    packer.add("noise.bin", &content::noise(1_000, FILE), NOISE)?;
    packer.add("text.rs", &content::text(1_001, FILE), TEXT)?;
    packer.finish()
}
