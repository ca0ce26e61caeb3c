#!/usr/bin/env python3
"""Counts the instructions of the inner loops of NEON kernels, and predicts their speed with llvm-mca.

    python tools/arm_loops.py BINARY [llvm-mca]

BINARY is the kernels' test program for AArch64, built with -C symbol-mangling-version=v0, which keeps the parameters of
generic functions in their names. Needs aarch64-linux-gnu-objdump; docs/processors.md has the commands and the table.

The share of the peak is that of the model of a processor: the cycles of the loop's multiply-adds alone, as the same model
has them, divided by those of the whole loop. Models know neither caches nor memory.
"""

import re
import subprocess
import sys

PROGRAM = sys.argv[1]
MCA = sys.argv[2] if len(sys.argv) > 2 else "llvm-mca"
PROCESSORS = ["neoverse-n1", "neoverse-v1", "cortex-a76", "apple-m1"]
ROUNDS = 200

TILE = r"neon::gemm::{} as .*::run::<{}>"
BY_WORD = r"Plain<.*ByWord<.*{}>, {}, {}>"
KERNELS = [
    ("f32, a row's terms adjacent", TILE.format(BY_WORD.format("Floats", 4, "false"), 6)),
    ("f32, rows adjacent", TILE.format(BY_WORD.format("Floats", 4, "true"), 6)),
    ("f32, weights in file order, 1 image", r"neon::gemv::kernel::<1>"),
    ("f32, weights in file order, 2 images", r"neon::gemv::kernel::<2>"),
    ("bf16 by `bfdot`", TILE.format("WithBf16<false>", 6)),
    ("bf16 widened", TILE.format(BY_WORD.format("Bf16Halves", 2, "false"), 6)),
    ("bytes by `sudot`", TILE.format("WithI8mm<false>", 6)),
    ("bytes by `sdot`", TILE.format("WithDotprod<false>", 5)),
    ("bytes widened", TILE.format(r"Plain<.*BytesWidened, 2, false>", 6)),
    ("int4 by `udot`", r"neon::int4::kernel_dotprod::<1>"),
    ("int4 widened", r"neon::int4::kernel::<1>"),
]
# What multiplies. `mul` and `sadalp`, or `umull` and `uadalp`, work together; the former count.
MULTIPLY = re.compile(r"(fmla|bfdot|sudot|sdot|udot|mul|umull2?)\s+v")


def functions():
    """Demangled names with their instructions and addresses."""
    text = subprocess.run(
        ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    name, lines = None, []
    for line in text.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            if name and "neon::" in name:
                yield name, lines
            name, lines = head[1], []
        elif found := re.match(r"\s*([0-9a-f]+):\s+(.*)", line):
            lines.append((int(found[1], 16), found[2].split("//")[0].strip()))


def inner_loop(lines):
    """The innermost loop with the most multiply-adds, its jump to a label `loop`."""
    index = {address: i for i, (address, _) in enumerate(lines)}
    jump = re.compile(r"(b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+, #\w+,)\s*([0-9a-f]+) <")
    jumps = [(i, found[1], index.get(int(found[2], 16))) for i, (_, text) in enumerate(lines) if (found := jump.match(text))]
    targets = {target for _, _, target in jumps}
    best = []
    for i, kind, target in jumps:
        if target is not None and target <= i and not any(t is not None and target < t <= i for t in targets):
            body = [text for _, text in lines[target:i]] + [f"{kind} loop"]
            if count(body) > count(best):
                best = body
    return best


def count(body):
    return sum(bool(MULTIPLY.match(text)) for text in body)


def cycles(body, processor):
    text = "loop:\n" + "\n".join(re.sub(r"\s+<.*", "", line) for line in body) + "\n"
    arguments = ["-mtriple=aarch64", f"-mcpu={processor}", "-mattr=+dotprod,+bf16,+i8mm", f"-iterations={ROUNDS}"]
    done = subprocess.run([MCA, *arguments], input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{MCA}: {done.stderr}")
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout)[1]) / ROUNDS


def multiply_adds_alone(body):
    """The loop's multiply-adds on registers that no other of them waits for."""
    kept = [re.match(r"(\w+)\s+v\d+(\.\w+), v\d+(\.\w+), v\d+(.*)", text) for text in body if MULTIPLY.match(text)]
    return [f"{m[1]} v{i % 24}{m[2]}, v30{m[3]}, v31{m[4]}" for i, m in enumerate(kept)]


def main():
    print("| Kernel | instructions | multiplications | share | spills |", *(f"{p} |" for p in PROCESSORS))
    print("|---|---|---|---|---|" + "---|" * len(PROCESSORS))
    loops = [(name, inner_loop(lines)) for name, lines in functions()]
    for title, pattern in KERNELS:
        body = next((body for name, body in loops if body and re.search(pattern, name)), None)
        if not body:
            sys.exit(f"no loop of {pattern}; was {PROGRAM} built with -C symbol-mangling-version=v0?")
        multiplies = count(body)
        spills = sum("[sp" in text for text in body)
        shares = [f"{100 * cycles(multiply_adds_alone(body), p) / cycles(body, p):.0f} % |" for p in PROCESSORS]
        print(f"| {title} | {len(body)} | {multiplies} | {100 * multiplies / len(body):.0f} % | {spills} |", *shares)


main()
