//! What a command writes: facts in, a plan out. The rules that every store has in common.
//!
//! A store does three things with a group of commands:
//!
//! 1. it reads the *facts* that the commands need, with as few queries as it can;
//! 2. it lets the functions of this module decide, in memory, against those facts;
//! 3. it writes the *rows* that were planned in one transaction, and answers with the outcomes.
//!
//! Nothing here reads a clock, draws a random number, knows SQL or awaits. `now` and ids are
//! arguments: several nodes may give out ids, so the order of ids says nothing about the order of
//! time or of commits.
