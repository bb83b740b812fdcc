/* ls: names in folders; -l adds the kind and the size. */
#include "libc.h"

static char kind(unsigned char type)
{
	return type == DT_DIR ? 'd' : type == DT_CHR ? 'c' : '-';
}

static void print_long(const char *folder, struct linux_dirent64 *entry)
{
	char path[256];
	size_t length = strlen(folder), name_length = strlen(entry->d_name);
	struct stat st = { 0 };

	if (length + name_length + 2 <= sizeof(path)) {
		memcpy(path, folder, length);
		path[length] = '/';
		memcpy(path + length + 1, entry->d_name, name_length + 1);
		stat(path, &st);
	}
	dprintf(1, "%c %7ld %s\n", kind(entry->d_type), (long)st.st_size, entry->d_name);
}

static int list(const char *folder, int is_long)
{
	static char buffer[1024];
	int fd = open(folder, O_RDONLY | O_DIRECTORY);
	ssize_t count;

	if (fd < 0)
		return complain("ls", folder);
	while ((count = getdents64(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < count;) {
			struct linux_dirent64 *entry = (void *)(buffer + at);

			at += entry->d_reclen;
			if (entry->d_name[0] == '.')
				continue;
			if (is_long)
				print_long(folder, entry);
			else
				dprintf(1, "%s\n", entry->d_name);
		}
	close(fd);
	return count < 0 ? complain("ls", folder) : 0;
}

/* A file is only named; a folder's name stands above its files when there are several arguments. */
static int show(const char *name, int is_long, int many, int first)
{
	struct stat st;

	if (stat(name, &st) < 0)
		return complain("ls", name);
	if (!S_ISDIR(st.st_mode)) {
		dprintf(1, "%s\n", name);
		return 0;
	}
	if (many)
		dprintf(1, "%s%s:\n", first ? "" : "\n", name);
	return list(name, is_long);
}

int main(int argc, char *argv[])
{
	int is_long = argc > 1 && !strcmp(argv[1], "-l");
	int failed = 0, start = 1 + is_long;

	if (start == argc)
		return list(".", is_long);
	for (int n = start; n < argc; n++)
		failed |= show(argv[n], is_long, argc - start > 1, n == start);
	return failed;
}
