//! Wrappers of kernels: lanes, state memory, constants per element, and the pipeline's handshake.

use nervure_core::block::{Interface, hex};
use nervure_core::kernel::emit::{PortText, Text, emit};
use nervure_core::kernel::{Kernel, Stages};
use nervure_core::num::counter_bits;
use nervure_core::{Memory, Stream};
use serde_json::{Value, json};

use super::{File, Renderer, print};
use crate::bus;

impl Renderer<'_> {
    /// A kernel body: lanes, state memory, constants per element, and the pipeline's handshake.
    ///
    /// Where the block has several streams in, each feeds one input of the kernel, and a beat of every one makes a slot.
    pub(super) fn elementwise(&self, kernel: &Kernel, files: &mut Vec<File>) {
        let stages = self.module.stages.as_ref().expect("lowering schedules kernels");
        let text = emit(kernel, stages);
        let ports = self.module.instance.interface();
        let x = &ports.inputs[0];
        assert!(
            ports.inputs.iter().all(|s| s.lanes == x.lanes),
            "the streams of a kernel have one beat each"
        );
        let (lanes, beats) = (x.lanes, x.beats());
        let module = format!("{}_kernel", self.module.name);
        let bits = |q: nervure_core::QType| q.bits as usize;
        let state_bits: usize = kernel.states.iter().map(|s| bits(s.port.format)).sum();
        let param_bits: usize = kernel.params.iter().map(|p| bits(p.port.format)).sum();
        let words = |of: &dyn Fn(usize) -> Vec<(i64, usize)>| -> Vec<String> {
            (0..beats)
                .map(|beat| {
                    let fields = (beat * lanes..(beat + 1) * lanes).flat_map(of);
                    fields.fold(Bits::default(), Bits::push).hex()
                })
                .collect()
        };
        let params = words(&|e| {
            kernel.params.iter().map(|p| (p.values[e % p.values.len()], bits(p.port.format))).collect()
        });
        let reset = words(&|_| kernel.states.iter().map(|s| (s.reset, bits(s.port.format))).collect());
        let mut mem = serde_json::Map::new();
        if param_bits > 0 && beats > 1 {
            let memory = Memory::constant("param", lanes * param_bits, params.clone());
            mem.insert("param".into(), self.memory(&memory, files));
        }
        let clocked = stages.count > 1;
        let instance = |lane| {
            let connections = connections(&text, lane, clocked, ports, state_bits, param_bits);
            json!({"name": format!("lane_{lane}"), "connections": connections})
        };
        let counted = state_bits > 0 || (param_bits > 0 && beats > 1);
        let mut context = self.handshake(stages);
        extend(
            &mut context,
            json!({
                "summary": format!("{lanes} element(s) a beat, {beats} beat(s) a tensor"),
                "beats": beats, "beat_bits": counter_bits(beats),
                "counted": counted, "state_width": lanes * state_bits, "param_width": lanes * param_bits,
                "state_reset": reset[0], "param_word": params[0], "mem": mem,
                "kernel_module": module, "instances": (0..lanes).map(instance).collect::<Vec<_>>(),
            }),
        );
        let wrapper = print(self.registry, "elementwise.v", None, &context);
        files.push(File { path: format!("rtl/{}.v", self.module.name), text: wrapper });
        files.push(self.kernel(&module, &text, "one element of "));
    }

    /// A flat kernel body: one instance that sees all elements, and the pipeline's handshake.
    pub(super) fn flat(&self, kernel: &Kernel, files: &mut Vec<File>) {
        let stages = self.module.stages.as_ref().expect("lowering schedules kernels");
        let text = emit(kernel, stages);
        let module = format!("{}_kernel", self.module.name);
        let ports = self.module.instance.interface();
        let mut connections = clock(stages.count > 1);
        let mut wire = |list: &[PortText], streams: &[Stream], net: &dyn Fn(&str) -> String| {
            let mut list = list.iter();
            for s in streams {
                let bits = s.tensor.format.bits as usize;
                let own = (&mut list).take(s.tensor.len()).enumerate();
                connections.extend(own.map(|(e, p)| [p.name.clone(), part(&net(&s.name), e * bits, bits)]));
            }
        };
        wire(&text.inputs, &ports.inputs, &|name| format!("s_axis_{name}_tdata"));
        let single = ports.outputs.len() == 1;
        wire(&text.outputs, &ports.outputs, &|name| output_net("result", name, single));
        for (p, store) in text.stores.iter().zip(&kernel.stores) {
            connections.push([p.name.clone(), format!("held_{}", store.name)]);
            files.extend(bus::store(self.registry, &self.module.name, store, &super::origin(self.design)));
        }
        let stores: Vec<Value> = (kernel.stores.iter().zip(&text.stores))
            .map(|(s, p)| json!({"name": s.name, "holds": s.holds, "top": p.bits - 1}))
            .collect();
        let mut context = self.handshake(stages);
        extend(
            &mut context,
            json!({
                "stores": stores,
                "summary": "All elements in one beat", "beats": 1, "beat_bits": 1, "counted": false,
                "state_width": 0, "param_width": 0,
                "kernel_module": module, "instances": [{"name": "u_kernel", "connections": connections}],
            }),
        );
        let wrapper = print(self.registry, "elementwise.v", None, &context);
        files.push(File { path: format!("rtl/{}.v", self.module.name), text: wrapper });
        files.push(self.kernel(&module, &text, "all elements of "));
    }

    /// What the wrapper's ports and its pipeline need to know.
    fn handshake(&self, stages: &Stages) -> Value {
        let ports = self.module.instance.interface();
        let arrived = match &ports.inputs[..] {
            [x] => format!("s_axis_{}_tvalid", x.name),
            _ => "arrived".into(),
        };
        let inputs: Vec<Value> = (ports.inputs.iter())
            .map(|s| {
                let others: Vec<String> = (ports.inputs.iter().filter(|o| o.name != s.name))
                    .map(|o| format!("s_axis_{}_tvalid", o.name))
                    .collect();
                json!({"name": s.name, "others": others})
            })
            .collect();
        let single = ports.outputs.len() == 1;
        let net = |name: &str, of: &Stream| output_net(name, &of.name, single);
        let room = |s: &Stream| format!("~{} | m_axis_{}_tready", net("m_valid_q", s), s.name);
        let room: Vec<String> = ports.outputs.iter().map(room).collect();
        let room = if single { room[0].clone() } else { format!("(({}))", room.join(") & (")) };
        let outputs: Vec<Value> = (ports.outputs.iter())
            .map(|s| {
                json!({"name": s.name, "top": s.width() - 1, "valid": net("m_valid_q", s),
                    "data": net("m_data_q", s), "result": net("result", s)})
            })
            .collect();
        json!({
            "module": self.module.name, "header": self.header(""), "ports": self.ports(),
            "inputs": inputs, "arrived": arrived, "outputs": outputs, "room": room,
            "stages": stages.count, "inner": stages.count - 1,
        })
    }
}

/// Adds the fields of `more` to the object `context`.
fn extend(context: &mut Value, more: Value) {
    if let (Value::Object(context), Value::Object(more)) = (context, more) {
        context.extend(more);
    }
}

/// A net of a wrapper's output stream: `m_data_q`, or `m_NAME_data_q` where there are several.
fn output_net(net: &str, stream: &str, single: bool) -> String {
    match net.split_once('_') {
        _ if single => net.to_owned(),
        Some((first, rest)) => format!("{first}_{stream}_{rest}"),
        None => format!("{net}_{stream}"),
    }
}

/// Connections of a pipelined kernel's clock.
fn clock(clocked: bool) -> Vec<[String; 2]> {
    let names = if clocked { &["clk", "en"][..] } else { &[] };
    names.iter().map(|name| [(*name).to_owned(), (*name).to_owned()]).collect()
}

/// Bits gathered from fields, first field lowest.
#[derive(Default)]
struct Bits(Vec<i64>);

impl Bits {
    fn push(mut self, (value, bits): (i64, usize)) -> Self {
        self.0.extend((0..bits).map(|b| value >> b & 1));
        self
    }

    fn hex(&self) -> String {
        hex(&self.0, 1)
    }
}

/// `name[hi:lo]`, or `name[lo]` for one bit.
fn part(name: &str, lo: usize, bits: usize) -> String {
    if bits == 1 { format!("{name}[{lo}]") } else { format!("{name}[{}:{lo}]", lo + bits - 1) }
}

fn connections(
    text: &Text,
    lane: usize,
    clocked: bool,
    ports: &Interface,
    state_bits: usize,
    param_bits: usize,
) -> Vec<[String; 2]> {
    let mut list = clock(clocked);
    let mut fields = |ports: &[PortText], net: &str, stride: usize| {
        let mut at = lane * stride;
        for p in ports {
            list.push([p.name.clone(), part(net, at, p.bits as usize)]);
            at += p.bits as usize;
        }
    };
    for (s, input) in ports.inputs.iter().zip(&text.inputs) {
        let net = format!("s_axis_{}_tdata", s.name);
        fields(std::slice::from_ref(input), &net, s.tensor.format.bits as usize);
    }
    fields(&text.params, "param", param_bits);
    fields(&text.states, "state", state_bits);
    fields(&text.next, "state_next", state_bits);
    fields(&text.outputs, "result", ports.outputs[0].tensor.format.bits as usize);
    list
}
