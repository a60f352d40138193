#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::cast_possible_truncation)]

mod borders;
mod bridges;
mod changes;
mod events;
mod faults;
mod flows;
mod forking;
mod interleavings;
mod invites;
mod load;
mod matrix;
mod messages;
mod net;
mod properties;
mod proxies;
mod publications;
mod records;
mod refers;
mod refreshes;
mod registrations;
mod reliability;
mod replacing;
mod scripts;
mod targets;
mod upkeep;
mod work;
