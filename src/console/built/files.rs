//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "df574f6bc6887d5e5df4068d9aa71490c67c29b917993e58643c85154e60090b";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-ChGFqSsZ.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-ChGFqSsZ.js"),
        gzip: include_bytes!("assets/index-ChGFqSsZ.js.gz"),
    },
    Embedded {
        path: "assets/index-DigWMSly.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-DigWMSly.css"),
        gzip: include_bytes!("assets/index-DigWMSly.css.gz"),
    },
    Embedded {
        path: "icon.svg",
        kind: "image/svg+xml",
        bytes: include_bytes!("icon.svg"),
        gzip: include_bytes!("icon.svg.gz"),
    },
    Embedded {
        path: "index.html",
        kind: "text/html; charset=utf-8",
        bytes: include_bytes!("index.html"),
        gzip: include_bytes!("index.html.gz"),
    },
    Embedded {
        path: "push-worker.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("push-worker.js"),
        gzip: include_bytes!("push-worker.js.gz"),
    },
];
