package stub

// machine is the ELF header's number for this architecture.
const machine = 183

// SigactionFlags are those rt_sigaction needs beside a handler: on amd64 the kernel refuses one without a restorer.
const SigactionFlags = 0
