//! The pages for people, and the JavaScript client. They are part of the binary: nothing is read from disk.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::server::app::App;
use crate::server::problem::Problem;

/// What a page may do: run our own scripts and ask this server, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! assets {
    ($($name:literal $kind:ident)*) => {
        &[$(($name, $kind, include_bytes!(concat!("../assets/", $name))),)*]
    };
}

/// Every file with its type.
const ASSETS: &[(&str, &str, &[u8])] = assets! {
    "index.html" HTML
    "docs.html" HTML
    "datasets.js" SCRIPT
    "docs.js" SCRIPT
    "dom.js" SCRIPT
    "log.js" SCRIPT
    "page.js" SCRIPT
    "plot.js" SCRIPT
    "schema.js" SCRIPT
    "session.js" SCRIPT
    "tail.js" SCRIPT
    "tidelog.js" SCRIPT
    "docs.css" STYLE
    "style.css" STYLE
    "tide.svg" IMAGE
};

/// The pages' routes. They are for people, and no part of the OpenAPI document.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(async || asset("index.html")))
        .route("/v1/docs", get(async || asset("docs.html")))
        .route("/assets/{name}", get(async |Path(name): Path<String>| asset(&name)))
}

fn asset(name: &str) -> Result<Response, Problem> {
    let found = ASSETS.iter().find(|(known, ..)| *known == name);
    let (_, kind, bytes) = found.ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The names stay when the files change with the binary.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, *bytes).into_response())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::ASSETS;

    #[test]
    fn every_file_is_served() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/assets");
        let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        // It tells node, for the tests, what a browser knows without it.
        let files: BTreeSet<String> = files.filter(|name| name != "package.json").collect();
        assert_eq!(files, ASSETS.iter().map(|(name, ..)| (*name).to_owned()).collect());
    }
}
