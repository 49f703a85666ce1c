//! `nervure verify --faults`.

use anyhow::Result;
use nervure_core::Samples;
use nervure_sim::faults::{Effect, FaultOptions, Faults, inject, window};
use nervure_sim::golden::{self, GoldenOptions};
use nervure_sim::{Bench, Cache, Subject, predict};
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::compile::Compiled;
use crate::console::Console;
use crate::figures::rounded;
use crate::table::{table, thousands};

/// Registers that are listed.
const SHOWN: usize = 20;

/// Flips flip-flops of the build and says what became of them. Fails when the design is hardened and a flip shows.
pub(super) fn faults(
    console: &Console,
    args: &VerifyArgs,
    count: u64,
    compiled: &Compiled,
    samples: &Samples,
    hardened: &Value,
) -> Result<bool> {
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(&compiled.network, samples, GoldenOptions::default(), &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    let prediction = predict(&compiled.optimised, &compiled.design, samples)?;
    let last = prediction.cycles.last().map_or(0, |c| c.finish);
    let window = window(last / samples.count.max(1) as u64, samples.count);
    let (toolbox, cache) = (console.toolbox(), Cache::open());
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let rtl = args.dir.join("rtl");
    let subject = Subject { design: &compiled.design, network: &compiled.network, rtl: &rtl };
    let stage = console.stage("faults", count as usize);
    let options = FaultOptions { count, seed: args.seed, window, twice: false };
    let Some(found) = inject(&bench, &subject, samples, &trace, &options)? else {
        console.commands("", "");
        return Ok(true);
    };
    let seconds = stage.done(&format!("{count} flips"));
    // Registers are only guarded by copies.
    let all = hardened["mode"].as_str().is_some_and(|mode| mode.split(',').any(|how| how == "tmr"));
    let guarded = found.flips.iter().filter(|f| all || f.coded);
    let shown = guarded.filter(|f| [Effect::Silent, Effect::Hung].contains(&f.effect)).count();
    let passed = hardened.is_null() || shown == 0;
    let object = json!({
        "name": compiled.network.name, "passed": passed, "seed": args.seed, "harden": hardened,
        "faults": {
            "flips": found.flips.len(), "masked": found.count(Effect::Masked),
            "detected": found.count(Effect::Detected), "hung": found.count(Effect::Hung),
            "silent": found.count(Effect::Silent), "registers": found.registers,
            "flip_flops": found.flip_flops, "memory_bits": found.memory_bits, "window_samples": found.window,
            "silent_registers": by_register(&found, Effect::Silent), "hung_registers": by_register(&found, Effect::Hung),
            "first_silent": found.flips.iter().find(|f| f.effect == Effect::Silent),
            "time_s": rounded(seconds),
        },
    });
    console.result(&object, || words(&object, &found, passed));
    Ok(passed)
}

/// Numbers of flips with an effect, by register.
fn by_register(found: &Faults, effect: Effect) -> Value {
    Value::Object(found.registers_with(effect).into_iter().map(|(r, n)| (r, json!(n))).collect())
}

fn words(object: &Value, found: &Faults, passed: bool) -> String {
    let n = |effect| thousands(found.count(effect) as u64);
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut parts = vec![format!(
        "{}: {} flips in {} flip-flops of {} registers and {} bits of coded memories, {} samples a run",
        object["name"].as_str().unwrap_or_default(),
        thousands(found.flips.len() as u64),
        thousands(found.flip_flops),
        thousands(found.registers as u64),
        thousands(found.memory_bits),
        found.window
    )];
    parts.push(table(&[
        row("masked", n(Effect::Masked)),
        row("detected", n(Effect::Detected)),
        row("hung", n(Effect::Hung)),
        row("silent", n(Effect::Silent)),
    ]));
    for (effect, what) in [(Effect::Silent, "silent"), (Effect::Hung, "hung")] {
        let list = found.registers_with(effect);
        parts.extend(list.iter().take(SHOWN).map(|(register, n)| format!("{what}: {register}: {n}")));
        parts.extend((list.len() > SHOWN).then(|| format!("{what}: and {} more", list.len() - SHOWN)));
    }
    parts.push(match (passed, object["harden"].is_null()) {
        (true, true) => "not hardened: nothing was expected".to_owned(),
        (true, false) => "passed".to_owned(),
        (false, _) => format!("FAILED with seed {}", object["seed"]),
    });
    parts.join("\n")
}
