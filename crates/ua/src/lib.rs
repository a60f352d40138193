//! TODO front page
#![no_std]
extern crate alloc;
