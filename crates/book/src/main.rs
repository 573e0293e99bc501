//! `book ROOT FOLDER` builds the documentation of the repository at ROOT in FOLDER. `cargo xtask book` runs it.

use mdbook_driver::MDBook;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [root, folder] = &arguments[..] else {
        eprintln!("usage: book ROOT FOLDER");
        return ExitCode::from(2);
    };
    // What a page was called before must not remain.
    let _ = fs::remove_dir_all(folder);
    let built = book::stage(root, folder).map_err(|error| error.to_string());
    let built =
        built.and_then(|()| MDBook::load(folder).and_then(|book| book.build()).map_err(|error| format!("{error:#}")));
    match built {
        Ok(()) => {
            println!("{}", folder.join("html/index.html").display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("book: {error}");
            ExitCode::FAILURE
        }
    }
}
