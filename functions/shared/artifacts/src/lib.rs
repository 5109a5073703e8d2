//! Artifacts and assets: archives, hashing, S3.
