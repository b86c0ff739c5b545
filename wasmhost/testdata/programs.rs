// Small programs on Rust's library; the argument names the one that runs.
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::Read;
use std::rc::Rc;

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *seed >> 33
}

fn maps() {
    let (mut seed, mut tree, mut hash) = (1, BTreeMap::new(), HashMap::new());
    for i in 0..5000u64 {
        let k = next(&mut seed) % 700;
        *tree.entry(k).or_insert(0) += i;
        *hash.entry(k).or_insert(0) += i;
    }
    let sum: u64 = tree.iter().map(|(k, v)| k * v).sum();
    println!("{} {} {}", tree.len(), sum, hash.iter().all(|(k, v)| tree[k] == *v));
}

fn strings() {
    let mut text = String::new();
    for i in 0..200 {
        write!(text, "{:>4}|{:<6x}|{:+.3e};", i, i * i, i as f64 / 7.0).unwrap();
    }
    println!("{}", text.chars().rev().filter(|c| !c.is_whitespace()).collect::<String>());
}

fn paths() {
    let mut seed = 7;
    let edges: Vec<Vec<(usize, u64)>> = (0..300).map(|_| (0..5).map(|_| (next(&mut seed) as usize % 300, next(&mut seed) % 90 + 1)).collect()).collect();
    let (mut best, mut heap) = (vec![u64::MAX; 300], BinaryHeap::new());
    heap.push((std::cmp::Reverse(0u64), 0usize));
    while let Some((std::cmp::Reverse(d), at)) = heap.pop() {
        if d < best[at] {
            best[at] = d;
            heap.extend(edges[at].iter().map(|&(to, w)| (std::cmp::Reverse(d + w), to)));
        }
    }
    println!("{:?}", best);
}

fn dynamic() {
    let shapes: Vec<Rc<dyn Fn(i64) -> i64>> = vec![Rc::new(|x| x * 3 + 1), Rc::new(|x| x / 2), Rc::new(|x| -x)];
    println!("{}", (0..10_000).fold(9i64, |x, i| shapes[(x.unsigned_abs() as usize + i) % 3](x) % 1_000_003));
}

fn queue() {
    let mut q: VecDeque<u32> = (1..=4000).collect();
    while q.len() > 1 {
        q.rotate_left(6 % q.len());
        q.pop_front();
    }
    println!("{:?}", q);
}

fn checked() {
    let list: Vec<String> = (0..64).map(|i| format!("{:?}", (1i64 << i).checked_mul(3).and_then(|x| x.checked_add(i64::MAX / 2)))).collect();
    println!("{}", list.join(" "));
}

fn panics() {
    let list = vec![1, 2, 3];
    println!("before");
    println!("{}", list[std::env::args().count() + 1]);
}

fn upper() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    println!("{}", text.to_uppercase());
}

fn main() {
    let all: [(&str, fn()); 8] = [
        ("maps", maps), ("strings", strings), ("paths", paths), ("dynamic", dynamic), ("queue", queue), ("checked", checked), ("panics", panics), ("upper", upper),
    ];
    let want = std::env::args().nth(1).unwrap();
    for (name, run) in all {
        if want == "list" {
            println!("{}", name);
        } else if want == name {
            run();
        }
    }
}
