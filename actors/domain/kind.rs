//! How a notification is shown.

/// How a notification is shown: its colour and icon in a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Neutral news.
    Info,
    /// Good news.
    Success,
    /// Something wants attention.
    Warning,
    /// Something went wrong.
    Error,
    /// About a course.
    Course,
    /// About an enrolment.
    Enrollment,
    /// About a lesson.
    Session,
    /// About a library.
    Library,
    /// About the hub itself.
    System,
    /// A user registered.
    UserRegistration,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Info,
        Self::Success,
        Self::Warning,
        Self::Error,
        Self::Course,
        Self::Enrollment,
        Self::Session,
        Self::Library,
        Self::System,
        Self::UserRegistration,
    ];

    /// The kind's name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Success => "SUCCESS",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Course => "COURSE",
            Self::Enrollment => "ENROLLMENT",
            Self::Session => "SESSION",
            Self::Library => "LIBRARY",
            Self::System => "SYSTEM",
            Self::UserRegistration => "USER_REGISTRATION",
        }
    }

    /// The kind with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How a notification is shown to which its sender gave this name as its type: as the kind of
    /// that name, in capitals or not; as news where it is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let is_named = |kind: &Self| kind.as_str().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_named).unwrap_or(Self::Info)
    }
}
