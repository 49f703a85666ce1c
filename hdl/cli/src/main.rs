//! The `nervure` command: arguments in, results on standard output, progress on standard error.
//!
//! Deliberately absent: anything that decides about hardware or samples; the verbs only join the other crates.

mod args;
mod compile;
mod console;
mod embedded;
mod figures;
mod folder;
mod plan;
mod problem;
mod table;
mod verbs;

use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::json;

use args::{Cli, Verb};
use console::Console;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let console = Console::new(cli.json, cli.dry_run, cli.quiet);
    match run(&console, cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            if console.json {
                console.print(&format!("{:#}", problem::object(&e)));
            } else {
                console.complain(&problem::text(&e));
            }
            ExitCode::from(2)
        }
    }
}

/// The exit code, where nothing stands in the way of an answer.
fn run(console: &Console, verb: Verb) -> Result<u8> {
    let passed = match verb {
        Verb::Build(args) => verbs::build(console, &args),
        Verb::Run(args) => verbs::run(console, &args),
        Verb::Verify(args) => verbs::verify(console, &args),
        Verb::Synth(args) => verbs::synth(console, &args),
        Verb::Import(args) => verbs::import(console, &args),
        Verb::Mask(args) => verbs::mask(console, &args),
        Verb::Prune(args) => verbs::prune(console, &args),
        Verb::Blocks { name } => verbs::blocks(console, name.as_deref()),
        Verb::Boards { name } => verbs::boards(console, name.as_deref()),
        Verb::Doctor => return verbs::doctor(console),
        Verb::New { example, dir } => verbs::new(console, &example, &dir),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nervure", &mut script);
            console.print(&String::from_utf8_lossy(&script));
            Ok(true)
        }
        Verb::Schema => {
            let schema = nervure_front::schema(&nervure_templates::registry());
            console.print(&format!("{schema:#}"));
            Ok(true)
        }
    };
    passed.map(|passed| u8::from(!passed))
}

/// Help and version are no errors; a wrong argument is one, in JSON where that was asked for.
fn usage(e: &clap::Error) -> ExitCode {
    let asked = matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked && std::env::args().any(|a| a == "--json") {
        let text = e.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let error = json!({"code": "usage", "message": message, "help": "see `nervure --help`"});
        Console::new(true, false, true).print(&format!("{:#}", json!({ "error": error })));
    } else {
        // A closed pipe is nobody's error.
        let _ = e.print();
    }
    ExitCode::from(if asked { 0 } else { 2 })
}
