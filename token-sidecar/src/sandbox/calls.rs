//! seccomp: forbids the system calls that code needs to send a key away or to start another program.
//! An allow list of the calls that are used today would break with the next C library.

use std::collections::BTreeMap;
use std::mem::offset_of;

use libc::c_long;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, sock_filter};

const FORBIDDEN: &[c_long] = &[
    // Sockets. The listening ones exist already, and `accept` needs none of these.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    // io_uring performs the calls above without passing this filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    // Interfaces of the kernel that are rarely used and often have vulnerabilities.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_memfd_create,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pivot_root,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Makes these calls fail with EPERM. Also sets `no_new_privs`, without which a process needs
/// privileges to install a filter.
pub(super) fn restrict() -> Result<(), String> {
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(|_| format!("seccomp is not set up for {}", std::env::consts::ARCH))?;
    let rules: BTreeMap<_, _> = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture);
    let mut program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())?;
    if cfg!(target_arch = "x86_64") {
        program.splice(..0, deny_x32());
    }
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

/// Denies all system calls of the x32 ABI, which has its own numbers for the forbidden calls. An x86_64
/// kernel with `CONFIG_X86_X32_ABI` accepts them from every program and reports the same architecture
/// to the filter (seccomp(2), "Caveats"). A bit of the number identifies them, for which seccompiler has
/// no rule. Jumps are relative, so these instructions can be put before its own.
fn deny_x32() -> [sock_filter; 3] {
    /// `__X32_SYSCALL_BIT` of Linux' `asm/unistd.h`.
    const X32: u32 = 0x4000_0000;
    let instruction = |code: u32, (jt, jf), k| sock_filter {
        // All codes have less than 16 bits.
        code: code as u16,
        jt,
        jf,
        k,
    };
    let number = offset_of!(libc::seccomp_data, nr) as u32;
    let denied = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), number),
        instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, (0, 1), X32),
        instruction(libc::BPF_RET | libc::BPF_K, (0, 0), denied),
    ]
}
