//! What breaks: the process, the disk, an actor.

mod disk;
mod kill;
