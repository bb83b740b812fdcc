/*
 * bpftests: asks the kernel what bpf(2) does and refuses, and prints each question that it gets wrong. Prints "bpftests: ok"
 * when there is none.
 */
#include "bpf.h"
#include "check.h"
#include "filter.h"

#define BAD_POINTER	((void *)0x1000)
#define E2BIG		7
#define EIO		5
#define EPERM		1
#define ENOSPC		28
#define ENOTEMPTY	39
#define ENOTSUPP	524
#define SIZE		144
#define COUNT(insns)	(sizeof(insns) / sizeof((insns)[0]))
#define U64(pointer)	((uint64_t)(pointer))

static char buffer[8192];

static int create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
	union bpf_attr attr = { .map_type = type, .key_size = key, .value_size = value, .max_entries = entries,
				.map_flags = flags, .map_name = "a_map" };

	return bpf(BPF_MAP_CREATE, &attr, SIZE);
}

static long element(int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union bpf_attr attr = { 0 };

	attr.map_fd = fd;
	attr.key = U64(key);
	attr.value = U64(value);
	attr.flags = flags;
	return bpf(cmd, &attr, SIZE);
}

static int load_with_log(const struct bpf_insn *insns, uint32_t count, uint32_t type, uint32_t level, uint32_t size, void *log)
{
	union bpf_attr attr = { .prog_type = type, .insn_cnt = count, .insns = U64(insns), .license = U64("GPL"),
				.log_level = level, .log_size = size, .log_buf = U64(log), .prog_name = "a_prog" };

	return bpf(BPF_PROG_LOAD, &attr, SIZE);
}

static int load(const struct bpf_insn *insns, uint32_t count)
{
	return load_with_log(insns, count, BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, NULL);
}

static int load_return(int value)
{
	struct bpf_insn insns[] = { MOV64_IMM(0, value), EXIT() };

	return load(insns, 2);
}

static int name(int cmd, const char *path, int fd, uint32_t flags)
{
	union bpf_attr attr = { .pathname = U64(path), .bpf_fd = fd, .file_flags = flags };

	return bpf(cmd, &attr, SIZE);
}

static long by_id(int cmd, uint32_t id)
{
	union bpf_attr attr = { .start_id = id };
	long ret = bpf(cmd, &attr, SIZE);

	return ret ? ret : (long)attr.next_id;
}

/* The attributes of a kernel that is older or newer. */
static void test_sizes(void)
{
	static struct { union bpf_attr attr; char more[5000]; } large;
	int fd;

	large.attr = (union bpf_attr){ .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };
	fd = bpf(BPF_MAP_CREATE, &large.attr, 16);
	IS(fd, 3);
	IS(close(fd), 0);
	fd = bpf(BPF_MAP_CREATE, &large.attr, 4096);
	IS(fd, 3);
	IS(close(fd), 0);
	FAILS(bpf(BPF_MAP_CREATE, &large.attr, 4097), E2BIG);
	large.more[100] = 1;
	FAILS(bpf(BPF_MAP_CREATE, &large.attr, 4096), E2BIG);
	FAILS(bpf(BPF_MAP_CREATE, BAD_POINTER, SIZE), EFAULT);
	FAILS(bpf(BPF_MAP_CREATE, BAD_POINTER, 4096), EFAULT);
	FAILS(bpf(99, &large.attr, SIZE), EINVAL);
	FAILS(bpf(-1, &large.attr, SIZE), EINVAL);
	/* Behind the last field that the command has. */
	large.attr.size[17] = 1;
	FAILS(bpf(BPF_MAP_CREATE, &large.attr, SIZE), EINVAL);
}

static void test_maps(void)
{
	uint32_t key = 1, next, value = 7, got;
	int array = create(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0), hash = create(BPF_MAP_TYPE_HASH, 4, 4, 2, 0), queue, fd;

	IS(array, 3);
	IS(hash, 4);
	FAILS(create(99, 4, 4, 1, 0), EINVAL);
	FAILS(create(BPF_MAP_TYPE_ARRAY, 8, 4, 1, 0), EINVAL);
	FAILS(create(BPF_MAP_TYPE_ARRAY, 4, 4, 0, 0), EINVAL);
	FAILS(create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 8 | 16), EINVAL);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, 60, &key, &got, 0), EBADF);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, 1, &key, &got, 0), EINVAL);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, hash, &key, &got, 0), ENOENT);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, hash, BAD_POINTER, &got, 0), EFAULT);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, hash, &key, &got, 1), EINVAL);
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, BPF_EXIST), ENOENT);
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, 9), EINVAL);
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, BAD_POINTER, 0), EFAULT);
	IS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, 0), 0);
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, BPF_NOEXIST), EEXIST);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, hash, &key, BAD_POINTER, 0), EFAULT);
	IS(element(BPF_MAP_LOOKUP_ELEM, hash, &key, &got, 0), 0);
	IS(got, 7);
	key = 2;
	IS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, 0), 0);
	key = 3;
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, 0), E2BIG);
	FAILS(element(BPF_MAP_DELETE_ELEM, hash, &key, NULL, 0), ENOENT);
	FAILS(element(BPF_MAP_DELETE_ELEM, array, &(int){ 0 }, NULL, 0), EINVAL);
	FAILS(element(BPF_MAP_DELETE_ELEM, hash, &key, &value, 0), EINVAL);
	IS(element(BPF_MAP_GET_NEXT_KEY, hash, NULL, &key, 0), 0);
	IS(element(BPF_MAP_GET_NEXT_KEY, hash, &key, &next, 0), 0);
	IS(key + next, 3);
	FAILS(element(BPF_MAP_GET_NEXT_KEY, hash, &next, &key, 0), ENOENT);
	IS(element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, hash, &next, &got, 0), 0);
	FAILS(element(BPF_MAP_LOOKUP_ELEM, hash, &next, &got, 0), ENOENT);
	FAILS(element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, array, &next, &got, 0), ENOTSUPP);
	key = 2;
	FAILS(element(BPF_MAP_UPDATE_ELEM, array, &key, &value, 0), E2BIG);
	FAILS(read(array, buffer, 1), EINVAL);
	queue = create(BPF_MAP_TYPE_QUEUE, 0, 4, 2, 0);
	FAILS(element(BPF_MAP_UPDATE_ELEM, queue, &key, &value, 0), EINVAL);
	IS(element(BPF_MAP_UPDATE_ELEM, queue, NULL, &value, 0), 0);
	IS(element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, queue, NULL, &got, 0), 0);
	FAILS(element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, queue, NULL, &got, 0), ENOENT);
	fd = create(BPF_MAP_TYPE_HASH, 4, 4, 2, BPF_F_RDONLY);
	FAILS(element(BPF_MAP_UPDATE_ELEM, fd, &key, &value, 0), EPERM);
	IS(element(BPF_MAP_FREEZE, hash, NULL, NULL, 0), 0);
	FAILS(element(BPF_MAP_FREEZE, hash, NULL, NULL, 0), 16);
	FAILS(element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, 0), EPERM);
	IS(close(array) | close(hash) | close(queue) | close(fd), 0);
}

static void test_load(void)
{
	struct bpf_insn plain[] = { MOV64_IMM(0, 0), EXIT() }, bad[] = { MOV64_REG(0, 3), EXIT() };
	struct bpf_insn talk[] = { MOV64_IMM(0, 0), MOV64_IMM(1, 0), MOV64_IMM(2, 0), MOV64_IMM(3, 0), EXIT() };
	struct bpf_insn fd1[] = { LD_MAP_FD(1, 1), MOV64_IMM(0, 0), EXIT() };
	struct bpf_insn fd60[] = { LD_MAP_FD(1, 60), MOV64_IMM(0, 0), EXIT() };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2, .insns = U64(plain),
				.license = U64(BAD_POINTER) };
	int fd;

	FAILS(bpf(BPF_PROG_LOAD, &attr, SIZE), EFAULT);
	attr.license = U64("GPL");
	attr.prog_flags = 1 << 10;
	FAILS(bpf(BPF_PROG_LOAD, &attr, SIZE), EINVAL);
	attr.prog_flags = 0;
	memset(attr.prog_name, 'x', sizeof(attr.prog_name));
	FAILS(bpf(BPF_PROG_LOAD, &attr, SIZE), EINVAL);
	FAILS(load(plain, 0), E2BIG);
	FAILS(load(plain, 1000001), E2BIG);
	FAILS(load(BAD_POINTER, 2), EFAULT);
	FAILS(load_with_log(plain, 2, 99, 0, 0, NULL), EINVAL);
	FAILS(load(bad, 2), EACCES);
	FAILS(load(fd1, COUNT(fd1)), EINVAL);
	FAILS(load(fd60, COUNT(fd60)), EBADF);
	FAILS(load_with_log(bad, 2, BPF_PROG_TYPE_SOCKET_FILTER, 1, sizeof(buffer), buffer), EACCES);
	IS(strncmp(buffer, "0: R1=ctx(off=0,imm=0) R10=fp0\n", 31), 0);
	IS(strncmp(strchr(buffer, 'R'), "R1=ctx", 6), 0);
	fd = load_with_log(plain, 2, BPF_PROG_TYPE_SOCKET_FILTER, 1, sizeof(buffer), buffer);
	IS(fd, 3);
	IS(close(fd), 0);
	FAILS(load_with_log(talk, COUNT(talk), BPF_PROG_TYPE_SOCKET_FILTER, 1, 130, buffer), ENOSPC);
	IS(strlen(buffer), 129);
	FAILS(load_with_log(plain, 2, BPF_PROG_TYPE_SOCKET_FILTER, 1, 64, buffer), EINVAL);
	FAILS(load_with_log(plain, 2, BPF_PROG_TYPE_SOCKET_FILTER, 0, 8192, buffer), EINVAL);
	FAILS(load_with_log(plain, 2, BPF_PROG_TYPE_SOCKET_FILTER, 99, 8192, buffer), EINVAL);
	FAILS(load_with_log(plain, 2, BPF_PROG_TYPE_SOCKET_FILTER, 1, 8192, BAD_POINTER), EFAULT);
	FAILS(by_id(BPF_PROG_GET_NEXT_ID, 0), ENOENT);
}

static struct sockaddr_in here = { AF_INET, htons(7000), htonl(INADDR_LOOPBACK), { 0 } };

/* How many bytes of a packet of 10 arrive; -1 and EAGAIN if none do. */
static long arrive(int fd)
{
	char got[64];

	IS(sendto(fd, "0123456789", 10, 0, &here, sizeof(here)), 10);
	return recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, NULL, NULL);
}

/* Attaches what the instructions make, and says what they make of a packet. */
static long filtered(int fd, const struct bpf_insn *insns, uint32_t count)
{
	int prog = load(insns, count);

	IS(prog >= 0, 1);
	IS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)), 0);
	IS(close(prog), 0);
	return arrive(fd);
}
#define FILTERED(fd, insns)	filtered(fd, insns, COUNT(insns))

static void test_sockets(void)
{
	struct bpf_insn length[] = { LDX_W(0, 1, 0), EXIT() };			/* skb->len */
	struct bpf_insn protocol[] = { LDX_W(0, 1, 16), JEQ_IMM(0, 0x0008, 2), MOV64_IMM(0, 0), EXIT(),
				       MOV64_IMM(0, 9), EXIT() };
	struct bpf_insn low_byte[] = { INSN(0x71, 0, 1, 1, 0), ADD64_IMM(0, 11), EXIT() };	/* of len, the second */
	struct bpf_insn cb[] = { MOV64_IMM(2, 12), STX_W(1, 2, 52), LDX_W(0, 1, 52), EXIT() };
	struct bpf_insn ifindex[] = { LDX_W(0, 1, 40), LDX_W(2, 1, 36), INSN(0x1d, 0, 2, 2, 0), MOV64_IMM(0, 0), EXIT(),
				      ADD64_IMM(0, 9), EXIT() };
	struct bpf_insn beyond[] = { MOV64_REG(6, 1), LD_ABS_B(100), MOV64_IMM(0, 9), EXIT() };
	struct bpf_insn bytes[] = { MOV64_IMM(2, 8), MOV64_REG(3, 10), ADD64_IMM(3, -8), MOV64_IMM(4, 4),
				    CALL(HELPER_SKB_LOAD_BYTES), LDX_W(0, 10, -8), JEQ_IMM(0, 0x33323130, 2),
				    MOV64_IMM(0, 0), EXIT(), MOV64_IMM(0, 10), EXIT() };
	struct bpf_insn data[] = { LDX_W(0, 1, 76), MOV64_IMM(0, 0), EXIT() };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), prog, map, size = 0, no = 0;
	struct sock_filter classic[] = { BPF_STMT(RET_K, 0) };
	struct sock_fprog fprog = { 1, classic };

	IS(bind(fd, &here, sizeof(here)), 0);
	prog = load_return(10);
	IS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)), 0);
	IS(arrive(fd), 2);
	/* The socket has it still. */
	IS(close(prog), 0);
	IS(arrive(fd), 2);
	IS(by_id(BPF_PROG_GET_NEXT_ID, 0) > 0, 1);
	FAILS(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &size), EACCES);
	IS(FILTERED(fd, length), 10);
	IS(FILTERED(fd, protocol), 1);
	IS(FILTERED(fd, low_byte), 3);
	IS(FILTERED(fd, cb), 4);
	IS(FILTERED(fd, ifindex), 2);
	FAILS(FILTERED(fd, beyond), EAGAIN);
	IS(FILTERED(fd, bytes), 2);
	FAILS(load(data, COUNT(data)), EACCES);
	/* One filter takes the other's place, of whichever kind. */
	IS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)), 0);
	FAILS(arrive(fd), EAGAIN);
	FAILS(by_id(BPF_PROG_GET_NEXT_ID, 0), ENOENT);
	IS(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &no, sizeof(no)), 0);
	IS(arrive(fd), 10);
	map = create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &map, sizeof(map)), EINVAL);
	prog = load_with_log(length, 2, BPF_PROG_TYPE_KPROBE, 0, 0, NULL);
	IS(prog >= 0, 1);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)), EINVAL);
	FAILS(setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, 8), EINVAL);
	IS(close(fd) | close(map) | close(prog), 0);
}

static void test_tail_calls(void)
{
	int array = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, 0), target = load_return(12), key = 0, got;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct bpf_insn insns[] = { LD_MAP_FD(2, array), MOV64_IMM(3, 0), CALL(HELPER_TAIL_CALL), MOV64_IMM(0, 9), EXIT() };

	IS(bind(fd, &here, sizeof(here)), 0);
	FAILS(element(BPF_MAP_UPDATE_ELEM, array, &key, &(int){ 60 }, 0), EBADF);
	FAILS(element(BPF_MAP_UPDATE_ELEM, array, &key, &array, 0), EINVAL);
	IS(FILTERED(fd, insns), 1);
	IS(element(BPF_MAP_UPDATE_ELEM, array, &key, &target, 0), 0);
	IS(close(target), 0);
	IS(element(BPF_MAP_LOOKUP_ELEM, array, &key, &got, 0), 0);
	IS(got > 0, 1);
	IS(arrive(fd), 4);
	IS(element(BPF_MAP_DELETE_ELEM, array, &key, NULL, 0), 0);
	IS(arrive(fd), 1);
	IS(close(fd) | close(array), 0);
}

static void test_maps_in_maps(void)
{
	int inner = create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0), other = create(BPF_MAP_TYPE_HASH, 4, 4, 1, 0), key = 0, id = 0;
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 1,
				.inner_map_fd = inner };
	int outer = bpf(BPF_MAP_CREATE, &attr, SIZE);

	attr.inner_map_fd = 60;
	FAILS(bpf(BPF_MAP_CREATE, &attr, SIZE), EBADF);
	FAILS(element(BPF_MAP_UPDATE_ELEM, outer, &key, &other, 0), EINVAL);
	IS(element(BPF_MAP_UPDATE_ELEM, outer, &key, &inner, 0), 0);
	IS(close(inner) | close(other), 0);
	IS(element(BPF_MAP_LOOKUP_ELEM, outer, &key, &id, 0), 0);
	inner = by_id(BPF_MAP_GET_FD_BY_ID, id);
	IS(inner, 3);
	IS(close(inner) | close(outer), 0);
	FAILS(by_id(BPF_MAP_GET_FD_BY_ID, id), ENOENT);
}

static void test_names(void)
{
	struct { uint32_t type, id, key_size, value_size, max_entries, flags; char name[16]; } map_info;
	struct { uint32_t type, id; uint8_t tag[8]; uint32_t jited, xlated; } prog_info;
	union bpf_attr attr = { 0 };
	int map = create(BPF_MAP_TYPE_ARRAY, 4, 8, 3, 0), prog = load_return(1), fd, value = 5, key = 2;

	IS(mkdir("/sys/fs/bpf/dir", 0700), 0);
	FAILS(mkdir("/sys/fs/bpf/dir", 0700), EEXIST);
	FAILS(mkdir("/sys/fs/bpf/a.b", 0700), EPERM);
	FAILS(open("/sys/fs/bpf/file", O_CREAT | O_WRONLY, 0600), EACCES);
	IS(name(BPF_OBJ_PIN, "/sys/fs/bpf/dir/prog", prog, 0), 0);
	IS(name(BPF_OBJ_PIN, "/sys/fs/bpf/map", map, 0), 0);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/map", map, 0), EEXIST);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/nope/map", map, 0), ENOENT);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/a.b", map, 0), EPERM);
	FAILS(name(BPF_OBJ_PIN, "/tmp/map", map, 0), EPERM);
	FAILS(name(BPF_OBJ_PIN, BAD_POINTER, map, 0), EFAULT);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/one", 1, 0), EINVAL);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/one", 60, 0), EBADF);
	FAILS(name(BPF_OBJ_PIN, "/sys/fs/bpf/one", map, 8), EINVAL);
	FAILS(open("/sys/fs/bpf/map", O_RDONLY), EIO);
	FAILS(rmdir("/sys/fs/bpf/dir"), ENOTEMPTY);
	FAILS(rmdir("/sys/fs/bpf/map"), ENOTDIR);
	FAILS(unlink("/sys/fs/bpf/dir"), EISDIR);
	IS(close(map) | close(prog), 0);
	FAILS(name(BPF_OBJ_GET, "/sys/fs/bpf/nope", 0, 0), ENOENT);
	FAILS(name(BPF_OBJ_GET, "/sys/fs/bpf/dir", 0, 0), EACCES);
	FAILS(name(BPF_OBJ_GET, "/etc/motd", 0, 0), EACCES);
	FAILS(name(BPF_OBJ_GET, "/sys/fs/bpf/map", 3, 0), EINVAL);
	prog = name(BPF_OBJ_GET, "/sys/fs/bpf/dir/prog", 0, 0);
	map = name(BPF_OBJ_GET, "/sys/fs/bpf/map", 0, 0);
	IS(prog, 3);
	IS(map, 4);
	attr.info_fd = map;
	attr.info_len = sizeof(map_info);
	attr.info = U64(&map_info);
	IS(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, SIZE), 0);
	IS(map_info.type, BPF_MAP_TYPE_ARRAY);
	IS(map_info.max_entries, 3);
	IS(strcmp(map_info.name, "a_map"), 0);
	attr.info_fd = prog;
	attr.info_len = sizeof(prog_info);
	attr.info = U64(&prog_info);
	IS(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, SIZE), 0);
	IS(prog_info.type, BPF_PROG_TYPE_SOCKET_FILTER);
	IS(prog_info.xlated, 16);
	IS(attr.info_len, sizeof(prog_info));
	attr.info_fd = 1;
	FAILS(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, SIZE), EINVAL);
	fd = name(BPF_OBJ_GET, "/sys/fs/bpf/map", 0, BPF_F_RDONLY);
	FAILS(element(BPF_MAP_UPDATE_ELEM, fd, &key, &value, 0), EPERM);
	IS(close(fd), 0);
	IS(by_id(BPF_PROG_GET_NEXT_ID, 0), prog_info.id);
	IS(by_id(BPF_MAP_GET_NEXT_ID, 0), map_info.id);
	fd = by_id(BPF_PROG_GET_FD_BY_ID, prog_info.id);
	IS(fd, 5);
	FAILS(by_id(BPF_PROG_GET_FD_BY_ID, 9999), ENOENT);
	FAILS(by_id(BPF_MAP_GET_FD_BY_ID, 9999), ENOENT);
	IS(close(fd) | close(prog) | close(map), 0);
	IS(unlink("/sys/fs/bpf/map"), 0);
	FAILS(unlink("/sys/fs/bpf/map"), ENOENT);
	IS(unlink("/sys/fs/bpf/dir/prog"), 0);
	IS(rmdir("/sys/fs/bpf/dir"), 0);
	FAILS(by_id(BPF_PROG_GET_NEXT_ID, 0), ENOENT);
	FAILS(by_id(BPF_MAP_GET_NEXT_ID, 0), ENOENT);
}

/* kernel.unprivileged_bpf_disabled */
static void test_unprivileged(void)
{
	int status, map = create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0), key = 0, got;
	pid_t child = fork();

	if (!child) {
		setuid(1000);
		FAILS(create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0), EPERM);
		FAILS(load_return(0), EPERM);
		FAILS(by_id(BPF_PROG_GET_NEXT_ID, 0), EPERM);
		/* A descriptor that it was given is as good as anybody's. */
		IS(element(BPF_MAP_LOOKUP_ELEM, map, &key, &got, 0), 0);
		_exit(wrong);
	}
	wait4(child, &status, 0, NULL);
	IS(status, 0);
	IS(close(map), 0);
}

int main(void)
{
	test_sizes();
	test_maps();
	test_load();
	test_sockets();
	test_tail_calls();
	test_maps_in_maps();
	test_names();
	test_unprivileged();
	if (!wrong)
		dprintf(1, "bpftests: ok\n");
	return wrong != 0;
}
