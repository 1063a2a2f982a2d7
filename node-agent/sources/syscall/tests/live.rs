//! live
use saker_source_syscall::*;
use std::sync::atomic::*;
#[test]
fn load() {
    let t = std::time::Instant::now();
    let mut p = match Probe::load(&Settings { syscalls: SyscallSet::all(), ..Default::default() }) { Ok(p) => p, Err(e) => panic!("{e:?}") };
    println!("load {:?} {:?}", t.elapsed(), p.hooks());
    let t = std::time::Instant::now();
    println!("scan {:?} {:?}", p.scan(|e| println!("{} {:?}", e.tid, String::from_utf8_lossy(e.param(14).unwrap_or_default()))), t.elapsed());
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| { std::thread::sleep(std::time::Duration::from_millis(100));
          std::process::Command::new("/bin/cat").arg("/etc/hostname").output().unwrap();
          std::thread::sleep(std::time::Duration::from_millis(300)); stop.store(true, Ordering::Relaxed) });
        p.run(&stop, &mut |i| if let Item::Event(e) = i { 
            println!("{} {} {} {}", e.num, e.ts, e.tid, e.code);
            for i in 0..e.param_count() { println!("   {i}: {:?}", String::from_utf8_lossy(e.param(i).unwrap_or_default())); } });
    });
    println!("{:?}", p.counters());
}
