//! TODO front page
