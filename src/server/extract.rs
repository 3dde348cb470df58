//! What a request says: names in its path, its query, its body. Everything here may be hostile.

mod at_most;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use tokio::time::{Instant, timeout_at};

use super::answer::Format;
use super::app::App;
use super::held::Held;
use super::inflate::{ENCODINGS, inflate};
use super::pace::LEAST_RATE;
use super::problem::Problem;
use crate::json;
pub use at_most::AtMost;

/// The names in the path, in their order: percent-encoded bytes, which need not be UTF-8 (axum's own extractor insists on
/// that).
#[derive(Debug)]
pub struct Names<const N: usize>(pub [Vec<u8>; N]);

impl<S: Sync, const N: usize> FromRequestParts<S> for Names<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Names<N>, Problem> {
        let matched = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let names: Vec<Vec<u8>> = matched
            .split('/')
            .zip(parts.uri.path().split('/'))
            .filter(|(pattern, _)| pattern.starts_with('{'))
            .map(|(_, segment)| percent_decode_str(segment).collect())
            .collect();
        names.try_into().map(Names).map_err(|_| Problem::not_found("there is nothing at this path"))
    }
}

/// The name of a dataset that clients may use.
///
/// # Errors
///
/// `invalid` for those that begin with a zero byte: they are the server's own.
pub fn public(dataset: &[u8]) -> Result<(), Problem> {
    match dataset.first() {
        Some(0) => {
            Err(Problem::invalid("dataset names that begin with a zero byte are the server's own").dataset(dataset))
        }
        _ => Ok(()),
    }
}

/// The query, as a struct that refuses what it does not know.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<T>, Problem> {
        // What is not text would be read as something else.
        let query = parts.uri.query().unwrap_or_default();
        if query.contains('%') && percent_decode_str(query).decode_utf8().is_err() {
            return Err(Problem::invalid(
                "the query is not UTF-8; a name that is not text goes into its _base64 field",
            ));
        }
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(error) => Err(Problem::invalid(format!("the query cannot be read: {}", error.body_text()))),
        }
    }
}

/// The body as a struct, from JSON or CBOR, and the leave to hold it: keep that for as long as the struct, or what was
/// made of it.
#[derive(Debug)]
pub struct Given<T>(pub T, pub Held);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Given<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Given<T>, Problem> {
        let format = Format::of_content(request.headers())?;
        let body = body(request, app).await?;
        let Object(value) = match format {
            Format::Json => serde_json::from_slice(&body.bytes).map_err(|e| unreadable(&e))?,
            Format::Cbor => from_cbor(&body.bytes)?,
        };
        Ok(Given(value, body.held))
    }
}

/// A struct written as an object. By itself serde takes a list of its fields' values too.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Map<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Map(PhantomData))
    }
}

/// The one value that these bytes are.
///
/// # Errors
///
/// `invalid`.
pub fn from_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut rest = bytes;
    let value = ciborium::from_reader(&mut rest).map_err(|e| match e {
        ciborium::de::Error::Io(_) => unreadable(&"it ends too early"),
        ciborium::de::Error::Syntax(at) => unreadable(&format_args!("it is not CBOR (at byte {at})")),
        ciborium::de::Error::Semantic(_, what) => unreadable(&what),
        ciborium::de::Error::RecursionLimitExceeded => unreadable(&"it is nested too deeply"),
    })?;
    if rest.is_empty() { Ok(value) } else { Err(unreadable(&"something follows its end")) }
}

fn unreadable(error: &dyn fmt::Display) -> Problem {
    Problem::invalid(format!("the body cannot be read: {error}"))
}

/// A whole body, and the leave to hold it in memory.
#[derive(Debug)]
pub struct Whole {
    /// What was sent, decompressed.
    pub bytes: Bytes,
    /// Keep this for as long as the bytes, or what was made of them.
    pub held: Held,
}

/// The whole body, within the server's limits. Its size is counted as it comes, and as it is after decompression.
///
/// # Errors
///
/// `too_large`, `unsupported_media_type` for a compression that is not known, `timeout`, `busy`, or `invalid` if it did
/// not arrive whole.
pub async fn body(request: Request, app: &App) -> Result<Whole, Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity").cloned();
    let mut body = request.into_body();
    // One that says how large it is need not come.
    if encoding.is_none() && body.size_hint().lower() > app.config.body_bytes as u64 {
        return Err(too_large(app));
    }
    if let Some(encoding) = encoding {
        body = inflate(body, encoding.as_bytes()).ok_or_else(|| {
            let detail = format!("the body is compressed with {encoding:?}; use gzip or zstd, or send it as it is");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
                .header(header::ACCEPT_ENCODING, ENCODINGS)
        })?;
    }
    let (mut first, mut all, mut held) = (Bytes::new(), Vec::new(), Held::for_bodies());
    let (began, patience) = (Instant::now(), app.config.patience);
    loop {
        // Byte by byte it would never end, each of them being in time. A pause may be as long as the server's patience.
        let deadline = began + patience + Duration::from_secs_f64(held.bytes() as f64 / f64::from(LEAST_RATE));
        let frame = match timeout_at(deadline.min(Instant::now() + patience), body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|e| Problem::invalid(format!("the body did not arrive: {e}")))?,
            Ok(None) => break,
            Err(_) => {
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time"));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if held.bytes() + data.len() > app.config.body_bytes {
            return Err(too_large(app));
        }
        held.more(app, data.len())?;
        // Most bodies come in one piece, and that is not copied.
        match first.is_empty() && all.is_empty() {
            true => first = data,
            false => {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(Whole { bytes: if all.is_empty() { first } else { all.into() }, held })
}

fn too_large(app: &App) -> Problem {
    let detail = format!("the body is larger than {} bytes; send less at once", app.config.body_bytes);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// The path of a dataset, or of what stands below it, as a reference that can be followed.
pub fn path_of(dataset: &[u8], below: &str) -> String {
    format!("/v1/datasets/{}{below}", percent_encode(dataset, NAME))
}

/// What is escaped in a name.
pub const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name that may be given as text or as base64.
///
/// # Errors
///
/// `invalid` for both, and for what is not base64.
pub fn one_of(field: &str, text: Option<String>, base64: Option<&str>) -> Result<Option<Vec<u8>>, Problem> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(Problem::invalid(format!("`{field}` and `{field}_base64` exclude each other"))),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => Ok(Some(json::decode_base64(&format!("{field}_base64"), base64)?)),
        (None, None) => Ok(None),
    }
}

/// The dataset that one of two fields names.
///
/// # Errors
///
/// `invalid` unless exactly one of them is there, and for the server's own datasets.
pub fn dataset_of(text: Option<String>, base64: Option<&str>) -> Result<Vec<u8>, Problem> {
    let name = one_of("dataset", text, base64)?;
    let name = name.ok_or_else(|| Problem::invalid("`dataset` (or `dataset_base64`) is missing"))?;
    public(&name)?;
    Ok(name)
}

/// The text of a header, if it is there.
///
/// # Errors
///
/// `invalid` if it is there twice, or not text.
pub fn header_text(parts: &axum::http::HeaderMap, name: header::HeaderName) -> Result<Option<String>, Problem> {
    let mut values = parts.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Problem::invalid(format!("the header `{name}` is not text"))),
        },
        (Some(_), Some(_)) => Err(Problem::invalid(format!("the header `{name}` is there twice"))),
    }
}
