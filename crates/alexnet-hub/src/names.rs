//! Published files by short name, and the nearest name for a typo.

use alexnet_formats::published::{PUBLISHED, PublishedFile};

/// The published file with this short name.
pub fn published(name: &str) -> Option<&'static PublishedFile> {
    PUBLISHED.iter().find(|file| file.name == Some(name))
}

/// The short name most similar to a misspelt one; `None` if none is similar.
pub fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(name, PUBLISHED.iter().filter_map(|file| file.name))
}

/// The name among `names` most similar to a misspelt one; `None` if none is similar.
pub fn nearest_of<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let (edits, found) = names.map(|known| (distance(&name, known), known)).min()?;
    // A third of the letters may be wrong: more would suggest names for anything.
    (edits * 3 <= found.len().max(3)).then_some(found)
}

/// Edit distance: insertions, deletions and replacements of a character.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances_are_those_of_the_textbook() {
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("same", "same")), (3, 3, 0));
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion_and_an_unrelated_one_does_not() {
        assert_eq!(published("torchvision").map(|file| file.file), Some("alexnet-owt-7be5be79.pth"));
        assert!(published("torchvison").is_none());
        for (wrong, right) in
            [("torchvison", "torchvision"), ("TorchVision", "torchvision"), ("bvlv", "bvlc"), ("cafenet", "caffenet")]
        {
            assert_eq!(nearest(wrong), Some(right));
        }
        assert_eq!([nearest("resnet50"), nearest("x"), nearest("")], [None; 3]);
    }
}
