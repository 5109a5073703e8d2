//! Artifacts and assets: which to take, downloading and unpacking them with every
//! byte accounted for, and the bucket that holds them.

pub mod archive;
pub mod binaries;
mod error;
pub mod intake;
mod list;
mod members;
pub mod select;
mod store;
mod upload;

pub use aws_sdk_s3::primitives::ByteStream;
pub use binaries::base_name;
pub use bytes::Bytes;
pub use error::{StoreError, Verification};
pub use list::{ArtifactRef, Asset, AssetList, list_key};
pub use members::{Member, Reader};
pub use store::{Store, chunks};
pub use upload::Upload;
