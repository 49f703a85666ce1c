//! How much faster the golden model is than snnTorch: the same network, samples and cores, in turns, in one run.
//!
//! snnTorch comes by pip into a virtual environment below Cargo's folder, which takes some gigabytes; without network or
//! Python the benchmark says so and ends. It is given what suits it: samples as floats in memory before the clock starts,
//! inference mode, and the first layer's product for all steps at once. Both have made their network ready before the clock
//! starts; the golden model's time is all of `Simulator::run`, from samples to recorded classes, and a turn of it is as many
//! runs as take the time of one of theirs.
//!
//! On a busy machine the medians of several threads flatter us, for its threads wait for each other: then the best
//! runs, in brackets, are the ones to compare.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nervure_benches::{example, load};
use nervure_core::{Network, Samples};
use nervure_sim::golden::{self, GoldenOptions, Simulator};

const EXAMPLE: &str = "mnist-snn";
/// As in the example: `v - v / 16` every step.
const BETA: &str = "0.9375";
/// Runs that are timed, after one that is not.
const RUNS: usize = 15;
/// Classes that rounding and saturation may turn, in a thousand: the floats of snnTorch have neither.
const TURNED: usize = 10;

fn main() -> Result<()> {
    let registry = nervure_templates::registry();
    let (network, samples) = load(EXAMPLE, &registry)?;
    let python = match environment() {
        Ok(python) => python,
        Err(e) => {
            println!("skipped, no snnTorch: {e:#}");
            return Ok(());
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{EXAMPLE}: {} samples of {} steps, {cores} cores", samples.count, samples.steps);
    println!("samples/s, median (best) of {RUNS} runs in turns");
    println!("threads            snnTorch                golden      ratio");
    let mut counts = vec![1, cores];
    counts.dedup();
    for threads in counts {
        compare(&python, &network, &samples, threads)?;
    }
    Ok(())
}

fn compare(python: &Path, network: &Network, samples: &Samples, threads: usize) -> Result<()> {
    let mut torch = SnnTorch::start(python, threads)?;
    let options = GoldenOptions { threads, trace: false };
    let mut simulator = Simulator::new(network, options)?;
    let mut run = || simulator.run(samples, &|_| ());
    let classes = golden::classes(&run()).context("one class a sample")?;
    let theirs: Vec<i64> = torch.ask("")?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let turned = classes.iter().zip(&theirs).filter(|(a, b)| a != b).count();
    ensure!(theirs.len() == samples.count, "{} classes from snnTorch", theirs.len());
    ensure!(turned * 1000 <= TURNED * samples.count, "{turned} classes differ: not the same network");

    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // Each warms up for its turn: the other one has had the caches, and the cores have slept.
        torch.ask("run")?;
        let seconds = torch.ask("run")?.parse()?;
        theirs.push(seconds);
        // Its threads spin for a while.
        sleep(Duration::from_millis(100));
        let mut turn = || {
            let (start, mut runs) = (Instant::now(), 0.0);
            while start.elapsed().as_secs_f64() < seconds {
                run();
                runs += 1.0;
            }
            start.elapsed().as_secs_f64() / runs
        };
        turn();
        ours.push(turn());
    }
    let rate = |seconds: f64| samples.count as f64 / seconds;
    let [(a, a_best), (b, b_best)] = [theirs, ours].map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        (rate(seconds[RUNS / 2]), rate(seconds[0]))
    });
    println!(
        "{threads:>7} {:>19} {:>21} {:>10}   {turned} of {} classes differ; {}",
        format!("{a:.0} ({a_best:.0})"),
        format!("{b:.0} ({b_best:.0})"),
        format!("{:.1} ({:.1})", b / a, b_best / a_best),
        samples.count,
        torch.about
    );
    Ok(())
}

/// The other program, which runs when it is asked to.
struct SnnTorch {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    about: String,
}

impl SnnTorch {
    fn start(python: &Path, threads: usize) -> Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/golden_vs_snntorch.py");
        let mut command = Command::new(python);
        command.arg(program);
        command.args(["weights.npz", "samples.npz"].map(|file| example(EXAMPLE).join(file)));
        command.args([&threads.to_string(), BETA, "hidden=56", "out=32"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
        let mut torch = Self { child, questions, answers, about: String::new() };
        torch.about = torch.answer()?;
        Ok(torch)
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.questions.as_mut().context("it was not stopped")?, "{question}")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        Ok(self.answers.next().context("the snnTorch program ended; what it said is above")??)
    }
}

impl Drop for SnnTorch {
    fn drop(&mut self) {
        // It ends with its input.
        self.questions = None;
        let _ = self.child.wait();
    }
}

/// The Python of an environment with snnTorch, made if it is not there.
fn environment() -> Result<PathBuf> {
    let folder =
        std::env::current_exe()?.ancestors().nth(3).context("below Cargo's folder")?.join("snntorch");
    let python = folder.join("bin/python");
    let works = |python: &Path| {
        let import =
            Command::new(python).args(["-c", "import numpy, snntorch"]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    if works(&python) {
        return Ok(python);
    }
    eprintln!("Installing snnTorch below {}", folder.display());
    let done = |command: &mut Command| -> Result<()> {
        let status = command.stdout(std::io::stderr()).status().with_context(|| format!("{command:?}"))?;
        ensure!(status.success(), "{command:?} failed ({status})");
        Ok(())
    };
    done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "numpy", "torch", "snntorch"]))?;
    ensure!(works(&python), "installed, and still no snnTorch");
    Ok(python)
}
