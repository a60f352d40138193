use super::*;

fn tree(text: &str) -> Tree {
    Tree::read(text.as_bytes(), &Limits::DEFAULT).unwrap()
}

#[test]
fn elements_are_found_in_their_order_and_namespace() {
    let tree = tree(
        "<a xmlns='urn:a' xmlns:b='urn:b ' x='1' b:x='2'><c> one </c><b:c>two</b:c>t<d/><c>three</c>u</a>",
    );
    let root = tree.root_of(&[(None, "a"), (Some("urn:a"), "a")]).unwrap();
    assert_eq!(root.attribute("x"), Some("1"));
    assert_eq!(root.attribute_of("urn:b", "x"), Some("2"));
    assert_eq!(root.text(), "tu");
    let names: Vec<_> = root.children().map(|child| (child.namespace(), child.token())).collect();
    assert_eq!(
        names,
        [(Some("urn:a"), "one"), (Some("urn:b"), "two"), (Some("urn:a"), ""), (Some("urn:a"), "three")]
    );
    assert_eq!(root.child("c").unwrap_err(), XmlError::Repeated("c"));
    assert_eq!(root.child_of("urn:b", "c").unwrap().unwrap().text(), "two");
    assert!(root.child("d").unwrap().is_some());
    assert_eq!(root.required("e").unwrap_err(), XmlError::Missing("e"));
    assert_eq!(tree.root_of(&[(None, "a")]).unwrap_err(), XmlError::WrongRoot);
}

/// Threat A11: depth is a count, not a stack; one more than the limit is refused, whatever reads the document.
#[test]
fn depth_costs_no_stack() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let limits = Limits { max_depth: 1_000, ..Limits::DEFAULT };
    let tree = Tree::read(nested(1_000).as_bytes(), &limits).unwrap();
    assert_eq!(tree.elements.len(), 1_000);
    assert!(matches!(Tree::read(nested(1_001).as_bytes(), &limits), Err(XmlError::Limit(_))));
}
