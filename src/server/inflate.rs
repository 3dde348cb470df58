//! Bodies that come compressed.

use std::io;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::body::Body;
use futures_util::TryStreamExt;
use tokio_util::io::{ReaderStream, StreamReader};

/// What bodies may be compressed with.
pub const ENCODINGS: &str = "gzip, zstd";

/// What is decompressed at once.
const PIECE_BYTES: usize = 16 << 10;

/// The body as it was before it was compressed, to its last byte: members of gzip and frames of zstd may follow each other,
/// and what is neither is an error. None for another compression.
pub fn inflate(body: Body, encoding: &[u8]) -> Option<Body> {
    let reader = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    match encoding {
        b"gzip" => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Some(Body::from_stream(ReaderStream::with_capacity(decoder, PIECE_BYTES)))
        }
        b"zstd" => {
            let mut decoder = ZstdDecoder::new(reader);
            decoder.multiple_members(true);
            Some(Body::from_stream(ReaderStream::with_capacity(decoder, PIECE_BYTES)))
        }
        _ => None,
    }
}
