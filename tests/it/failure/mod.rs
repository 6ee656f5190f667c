//! What breaks: the process, the disk, an actor; and clients that take what they ask for slowly.

mod bulk;
mod clock;
mod disk;
mod kill;
mod memory;
mod power;
