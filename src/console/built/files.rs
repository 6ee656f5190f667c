//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "74b9e32ecc84ca9c272197dc5e708e26c03cc43e8b10cea093f239d2844a75fb";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-CvH-kZWP.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-CvH-kZWP.js"),
        gzip: include_bytes!("assets/index-CvH-kZWP.js.gz"),
    },
    Embedded {
        path: "assets/index-D5rDNWza.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-D5rDNWza.css"),
        gzip: include_bytes!("assets/index-D5rDNWza.css.gz"),
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
