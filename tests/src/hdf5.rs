//! Networks as HDF5 files that are made on the spot, sound or not: a tree of groups and arrays, and its bytes.

use std::collections::BTreeMap;

use hdf5_pure::{DatasetBuilder, FileBuilder, GroupBuilder};

/// A group, or an array with its shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Members by name.
    Group(BTreeMap<String, Tree>),
    /// 64-bit floats.
    Floats(Vec<u64>, Vec<f64>),
    /// 64-bit integers.
    Integers(Vec<u64>, Vec<i64>),
    /// Texts.
    Texts(Vec<u64>, Vec<String>),
}

/// A group of `members`.
pub fn group<const N: usize>(members: [(&str, Tree); N]) -> Tree {
    Tree::Group(members.into_iter().map(|(name, tree)| (name.to_owned(), tree)).collect())
}

/// An array of the floats `value`.
pub fn full(value: f64, shape: &[u64]) -> Tree {
    Tree::Floats(shape.to_vec(), vec![value; shape.iter().product::<u64>() as usize])
}

/// A list of integers.
pub fn list(values: &[i64]) -> Tree {
    Tree::Integers(vec![values.len() as u64], values.to_vec())
}

/// One integer.
pub fn integer(value: i64) -> Tree {
    Tree::Integers(Vec::new(), vec![value])
}

/// One text.
pub fn text(value: &str) -> Tree {
    Tree::Texts(Vec::new(), vec![value.to_owned()])
}

/// A node of a NIR graph, or a layer of a lava-dl network.
pub fn node<const N: usize>(type_name: &str, fields: [(&str, Tree); N]) -> Tree {
    let mut node = group(fields);
    node.put("type", text(type_name));
    node
}

/// A NIR graph without the file around it.
pub fn graph<const N: usize>(nodes: [(&str, Tree); N], edges: &[(&str, &str)]) -> Tree {
    let names = edges.iter().flat_map(|(from, to)| [(*from).to_owned(), (*to).to_owned()]).collect();
    let edges = Tree::Texts(vec![edges.len() as u64, 2], names);
    node("NIRGraph", [("nodes", group(nodes)), ("edges", edges)])
}

/// A NIR file.
pub fn nir(graph: Tree) -> Tree {
    group([("version", text("1.0.8")), ("node", graph)])
}

impl Tree {
    /// What lies at `path`, its names separated by `/`.
    pub fn at(&mut self, path: &str) -> &mut Tree {
        path.split('/').fold(self, |tree, name| {
            let Tree::Group(members) = tree else { panic!("{path}: what holds {name} is no group") };
            members.get_mut(name).unwrap_or_else(|| panic!("{path}: there is no {name}"))
        })
    }

    /// Puts `tree` at `path`, in a group that exists.
    pub fn put(&mut self, path: &str, tree: Tree) {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.at(parent), name),
            None => (self, path),
        };
        let Tree::Group(members) = parent else { panic!("{path} is in no group") };
        members.insert(name.to_owned(), tree);
    }

    /// Takes away what lies at `path`.
    pub fn remove(&mut self, path: &str) {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.at(parent), name),
            None => (self, path),
        };
        let Tree::Group(members) = parent else { panic!("{path} is in no group") };
        assert!(members.remove(name).is_some(), "there is no {path}");
    }

    /// Adds an edge to the graph at `path`.
    pub fn edge(&mut self, path: &str, from: &str, to: &str) {
        let Tree::Texts(shape, names) = self.at(&format!("{path}/edges")) else { panic!("edges are texts") };
        shape[0] += 1;
        names.extend([from.to_owned(), to.to_owned()]);
    }

    /// Paths of all members, groups before what lies in them.
    pub fn paths(&self) -> Vec<String> {
        let Tree::Group(members) = self else { return Vec::new() };
        let below = |(name, tree): (&String, &Tree)| {
            let inner = tree.paths().into_iter().map(|path| format!("{name}/{path}")).collect::<Vec<_>>();
            std::iter::once(name.clone()).chain(inner).collect::<Vec<_>>()
        };
        members.iter().flat_map(below).collect()
    }

    /// The file that holds this group as its outermost; nothing where the library does not write such a thing.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let Tree::Group(members) = self else { return None };
        let mut file = FileBuilder::new();
        for (name, tree) in members {
            match tree {
                Tree::Group(members) => {
                    let mut group = file.create_group(name);
                    fill(&mut group, members);
                    file.add_group(group.finish());
                }
                array => write(file.create_dataset(name), array),
            }
        }
        file.finish().ok()
    }
}

fn fill(group: &mut GroupBuilder, members: &BTreeMap<String, Tree>) {
    for (name, tree) in members {
        match tree {
            Tree::Group(members) => {
                let mut inner = group.create_group(name);
                fill(&mut inner, members);
                group.add_group(inner.finish());
            }
            array => write(group.create_dataset(name), array),
        }
    }
}

fn write(dataset: &mut DatasetBuilder, array: &Tree) {
    match array {
        Tree::Group(_) => unreachable!("groups are written by those who call"),
        Tree::Floats(shape, data) => dataset.with_f64_data(data).with_shape(shape),
        Tree::Integers(shape, data) => dataset.with_i64_data(data).with_shape(shape),
        Tree::Texts(shape, data) => {
            let data: Vec<&str> = data.iter().map(String::as_str).collect();
            dataset.with_vlen_strings(&data).with_shape(shape)
        }
    };
}
