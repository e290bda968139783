/* The floor: receive from the same sockets at the same tick, and do nothing with it.
 *
 *   floor PERIOD_MS SECONDS < file descriptors, one a line
 *
 * The sockets are split into five groups, one every fifth of the period, as in receiver/net/tick.py; each is asked with one
 * recvmmsg for at most 64 datagrams, into a slab of 4,096 rows of 1,536 octets, source addresses and kernel arrival times
 * included, as in receiver/net/slab.py. SIGTERM or SECONDS end it; it prints the number of datagrams. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum { ROWS = 4096, ROW = 1536, GROUPS = 5, MOST = 64, SOCKETS = 65536 };

static struct mmsghdr message[ROWS];
static struct iovec vector[ROWS];
static struct sockaddr_in6 name[ROWS];
static char control[ROWS][32];
static int fd[SOCKETS];
static volatile sig_atomic_t stopped;

static void stop(int signal_number) { (void)signal_number; stopped = 1; }

int main(int count, char **argument)
{
    if (count != 3) return 2;
    long long period_ns = atoll(argument[1]) * 1000000LL, packets = 0;
    int sockets = 0;
    while (sockets < SOCKETS && scanf("%d", &fd[sockets]) == 1) sockets++;

    char (*octets)[ROW] = mmap(0, (size_t)ROWS * ROW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (octets == MAP_FAILED) return 1;
    memset(octets, 1, (size_t)ROWS * ROW);
    for (int row = 0; row < ROWS; row++) {
        vector[row] = (struct iovec){octets[row], ROW};
        message[row].msg_hdr = (struct msghdr){&name[row], sizeof name[row], &vector[row], 1, control[row], 32, 0};
    }
    struct sigaction on_term = {.sa_handler = stop};
    sigaction(SIGTERM, &on_term, 0);

    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    long long end_s = due.tv_sec + atoll(argument[2]);
    for (int group = 0; !stopped && due.tv_sec < end_s; group = (group + 1) % GROUPS) {
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, 0);
        int at = 0;
        for (int socket = group; socket < sockets; socket += GROUPS) {
            if (ROWS - at < MOST) at = 0;
            int received = recvmmsg(fd[socket], message + at, MOST, MSG_DONTWAIT, 0);
            for (int row = at; row < at + received; row++) { /* the kernel shrank both */
                message[row].msg_hdr.msg_namelen = sizeof name[row];
                message[row].msg_hdr.msg_controllen = 32;
            }
            if (received > 0) at += received, packets += received;
        }
        due.tv_nsec += period_ns / GROUPS;
        due.tv_sec += due.tv_nsec / 1000000000L;
        due.tv_nsec %= 1000000000L;
    }
    printf("%lld\n", packets);
    return 0;
}
