//! The filters and tests of templates, and the cost of each.
//!
//! They are minijinja's own functions. Each is called after its highest possible cost has been
//! charged, which its [`Cost`] computes from its arguments; filters without a known bound are not
//! in the list (`batch`, `slice` and `format` take a width, `map` and `select` the name of another
//! filter).

/// A filter that templates may use.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    /// How many positional arguments it takes beside its input.
    pub(super) args_max: usize,
    /// Its named arguments.
    pub(super) names: &'static [&'static str],
    pub(super) cost: Cost,
}

/// The cost of a filter as a function of its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// It reads no text.
    Flat,
    /// It reads a text once; of a list only its length.
    Look,
    /// This much per byte. A letter may become three others when its case changes, and five
    /// characters when escaped; a character as an item takes 32 bytes.
    Each(usize),
    /// Each character at the ends is compared with the characters to be removed.
    Trim,
    /// The comparisons that sorting needs, with keys in lower case.
    Sort,
    /// The text, plus the replacement for each match.
    Replace,
    /// The items, plus the separators.
    Join,
    /// The text, plus the spaces before each line.
    Indent,
    /// Our own: the attribute of each item.
    Map,
}

const fn filter(name: &'static str, args_max: usize, cost: Cost) -> Filter {
    Filter { name, args_max, names: &[], cost }
}

const fn sorting(name: &'static str, names: &'static [&'static str]) -> Filter {
    Filter { name, args_max: 0, names, cost: Cost::Sort }
}

pub(super) static FILTERS: &[Filter] = &[
    filter("safe", 0, Cost::Each(8)),
    filter("escape", 0, Cost::Each(8)),
    filter("e", 0, Cost::Each(8)),
    filter("lower", 0, Cost::Each(8)),
    filter("upper", 0, Cost::Each(8)),
    filter("title", 0, Cost::Each(8)),
    filter("capitalize", 0, Cost::Each(8)),
    filter("trim", 1, Cost::Trim),
    filter("string", 0, Cost::Each(8)),
    filter("length", 0, Cost::Look),
    filter("count", 0, Cost::Look),
    filter("default", 2, Cost::Flat),
    filter("d", 2, Cost::Flat),
    filter("bool", 0, Cost::Flat),
    filter("first", 0, Cost::Look),
    filter("last", 0, Cost::Look),
    filter("int", 0, Cost::Each(1)),
    filter("float", 0, Cost::Each(1)),
    filter("abs", 0, Cost::Each(1)),
    filter("round", 1, Cost::Each(1)),
    filter("replace", 2, Cost::Replace),
    filter("join", 1, Cost::Join),
    filter("indent", 3, Cost::Indent),
    filter("split", 2, Cost::Each(40)),
    filter("lines", 0, Cost::Each(40)),
    filter("list", 0, Cost::Each(40)),
    filter("items", 0, Cost::Each(8)),
    filter("reverse", 0, Cost::Each(8)),
    filter("min", 0, Cost::Each(4)),
    filter("max", 0, Cost::Each(4)),
    sorting("sort", &["reverse", "attribute", "case_sensitive"]),
    sorting("unique", &["attribute", "case_sensitive"]),
    sorting("dictsort", &["by", "reverse", "case_sensitive"]),
    Filter { name: "map", args_max: 0, names: &["attribute"], cost: Cost::Map },
];

/// The tests that templates may use; each reads its values once.
pub(super) static TESTS: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
    "in",
];
