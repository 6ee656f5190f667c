//! The web app's files. Made by `npm run build` in `src/console/app`.

use super::Embedded;

/// A hash of what they were made from.
#[cfg(test)]
pub(super) const SOURCES: &str = "cb446e2ff21253183114233e86460ac3d77148cd24fc68dead7787fcbfc7f532";

pub(super) const FILES: &[Embedded] = &[
    Embedded {
        path: "assets/index-2oW3oxDZ.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("assets/index-2oW3oxDZ.css"),
        gzip: include_bytes!("assets/index-2oW3oxDZ.css.gz"),
    },
    Embedded {
        path: "assets/index-cCYzjY8t.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/index-cCYzjY8t.js"),
        gzip: include_bytes!("assets/index-cCYzjY8t.js.gz"),
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
