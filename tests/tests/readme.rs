//! The README's program is the example that is compiled and run.

#[test]
fn the_example_in_the_readme_is_the_one_that_compiles() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```rust\n").expect("a Rust block");
    let (block, _) = after.split_once("```").expect("its end");
    assert_eq!(block, include_str!("../examples/embed.rs"));
}
