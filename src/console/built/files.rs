//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "bfd31031a504893e166ab73da8a867029202e9656a9777e9de2506286157cbef";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-CkSYR7Sk.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-CkSYR7Sk.css"),
        gzip: include_bytes!("assets/index-CkSYR7Sk.css.gz"),
    },
    Embedded {
        path: "assets/index-Dv5fOCDU.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-Dv5fOCDU.js"),
        gzip: include_bytes!("assets/index-Dv5fOCDU.js.gz"),
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
