// A plugin of qemu's user-mode emulators that counts the instructions a program runs: see tools/arm.
//
// The few functions of qemu's plugin interface that it needs are declared here, as distributions do not
// package the header. They are the same in versions 1 to 4 of the interface; VERSION says which is told.
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef VERSION
#define VERSION 1
#endif

struct qemu_plugin_tb;
typedef uint64_t qemu_plugin_id_t;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

int qemu_plugin_version = VERSION;

// The programs that are counted have one thread.
static uint64_t count;

static void run(unsigned cpu, void *instructions) {
    (void)cpu;
    count += (uintptr_t)instructions;
}

// Straight code is translated once; its number of instructions is what each run of it gets to add.
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *code) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(code, run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(code));
}

static void ended(qemu_plugin_id_t id, void *unused) {
    (void)id, (void)unused;
    fprintf(stderr, "instructions: %" PRIu64 "\n", count);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
