#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "date.h"
#include "media.h"
#include "text.h"

/* A head has two long parts: the media type and the entity tag. */
#define HEAD_ROOM 384

/* Two changes within this time may bear one stamp on some file systems. */
#define STAMP_NS (2 * NS_PER_S)

static int open_beneath(int root_fd, const char *name, int flags)
{
    struct open_how how = {
        /* O_NONBLOCK: a FIFO must block nobody. */
        .flags = (uint32_t)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };

    /* A rename somewhere during the look-up gives EAGAIN: try again. */
    for (int attempt = 0; attempt < 16; attempt++) {
        long fd = syscall(SYS_openat2, root_fd, name, &how, sizeof(how));

        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -EAGAIN;
}

int file_root_probe(const struct file_root *root)
{
    int fd = open_beneath(root->fd, ".", O_RDONLY | O_DIRECTORY);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static enum file_kind kind_of_error(int error)
{
    switch (error) {
    case -EACCES:
    case -EPERM:
        return FILE_FORBIDDEN;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return FILE_EXHAUSTED;
    case -EAGAIN:
    case -EIO:
        return FILE_BUSY;
    default:
        /* Also a link that leads out of the root (EXDEV), and an absolute
         * one, which may not be followed even when it leads inside. */
        return FILE_MISSING;
    }
}

static enum file_kind kind_of_mode(mode_t mode)
{
    if (S_ISREG(mode))
        return FILE_REGULAR;
    return S_ISDIR(mode) ? FILE_DIRECTORY : FILE_MISSING;
}

static bool asks_for_index(const char *name, size_t size)
{
    return size == 0 || name[size - 1] == '/';
}

/* Open what a name means. *ret_fd is only set for a regular file. */
static enum file_kind open_name(const struct file_root *root, const char *name,
                                size_t size, int *ret_fd, struct stat *ret_stat)
{
    char path[4096];
    enum file_kind kind;
    int fd;

    if (asks_for_index(name, size)) {
        if (snprintf(path, sizeof(path), "%s%s", name, root->index) >=
            (int)sizeof(path))
            return FILE_MISSING;
        name = path;
    }
    fd = open_beneath(root->fd, name, O_RDONLY);
    if (fd < 0)
        return kind_of_error(fd);
    kind = fstat(fd, ret_stat) == 0 ? kind_of_mode(ret_stat->st_mode)
                                    : FILE_MISSING;
    /* A directory of the index's name is no index. */
    if (kind == FILE_DIRECTORY && name == path)
        kind = FILE_MISSING;
    if (kind == FILE_REGULAR)
        *ret_fd = fd;
    else
        close(fd);
    return kind;
}

static struct file_identity identity_of(const struct stat *stat)
{
    return (struct file_identity){
        .device = stat->st_dev,
        .inode = stat->st_ino,
        .size = (uint64_t)stat->st_size,
        .modified = stat->st_mtim,
        .changed = stat->st_ctim,
    };
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_identity(const struct file_identity *a,
                          const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode &&
           a->size == b->size && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

bool file_is_current(const struct file *file)
{
    struct file_identity identity;
    struct stat stat;

    if (fstat(file->fd, &stat) < 0)
        return false;
    identity = identity_of(&stat);
    return same_identity(&file->identity, &identity);
}

/* Was it changed so lately that the next change may bear the same stamp? */
static bool is_young(const struct file_identity *identity)
{
    struct timespec now;
    int64_t age_ns;

    clock_gettime(CLOCK_REALTIME, &now);
    age_ns = (now.tv_sec - identity->changed.tv_sec) * NS_PER_S +
             (now.tv_nsec - identity->changed.tv_nsec);
    return age_ns < STAMP_NS;
}

static void put_entity_tag(struct text *text,
                           const struct file_identity *identity)
{
    text_puts(text, "ETag: \"");
    text_put_hex(text, identity->inode);
    text_puts(text, "-");
    text_put_hex(text, identity->size);
    text_puts(text, "-");
    text_put_hex(text, (uint64_t)identity->modified.tv_sec * NS_PER_S +
                           (uint64_t)identity->modified.tv_nsec);
    text_puts(text, "\"\r\n");
}

/* The date may not lie in the future (RFC 9110, 8.8.2.1). */
static void put_last_modified(struct text *text, time_t modified)
{
    char date[DATE_SIZE];
    time_t now = time(NULL);

    date_format(modified < now ? modified : now, date);
    text_puts(text, "Last-Modified: ");
    text_puts(text, date);
    text_puts(text, "\r\n");
}

static void write_head(struct file *file, const char *type, struct text *text)
{
    const char *start = text->at;

    text_puts(text, "HTTP/1.1 200 OK\r\nContent-Length: ");
    text_put_number(text, file->identity.size);
    text_puts(text, "\r\n");
    file->fields = (unsigned)(text->at - start);
    text_puts(text, "Content-Type: ");
    text_puts(text, type);
    text_puts(text, "\r\n");
    put_entity_tag(text, &file->identity);
    put_last_modified(text, file->identity.modified.tv_sec);
    text_puts(text, "Accept-Ranges: bytes\r\nDate: ");
    file->head = start;
    file->head_size = (unsigned)(text->at - start);
}

static struct file *create(enum file_kind kind, const char *name,
                           size_t name_size, size_t room)
{
    size_t memory = sizeof(struct file) + name_size + 1 + room;
    struct file *file = malloc(memory);

    if (!file)
        return NULL;
    memset(file, 0, sizeof(*file));
    atomic_init(&file->references, 1);
    file->kind = kind;
    file->fd = -1;
    file->name_size = name_size;
    file->memory = memory;
    memcpy(file->bytes, name, name_size);
    file->bytes[name_size] = '\0';
    return file;
}

/* Read a small body whole. Returns 0, or a negative errno. */
static int read_body(const struct file *file, int fd, char *body)
{
    size_t size = (size_t)file->identity.size, done = 0;

    while (done < size) {
        ssize_t got = pread(fd, body + done, size - done, (off_t)done);

        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -EAGAIN; /* it was cut short meanwhile */
        if (got > 0)
            done += (size_t)got;
    }
    return 0;
}

static struct file *create_regular(const char *name, size_t name_size, int fd,
                                   const struct stat *stat, const char *type)
{
    bool is_small = stat->st_size <= FILE_BODY_MAX;
    size_t body = is_small ? (size_t)stat->st_size : 0;
    struct file *file = create(FILE_REGULAR, name, name_size, HEAD_ROOM + body);
    struct text text;

    if (!file)
        return NULL;
    file->fd = fd;
    file->identity = identity_of(stat);
    file->is_young = is_young(&file->identity);
    text.at = file->bytes + name_size + 1;
    text.end = text.at + HEAD_ROOM;
    write_head(file, type, &text);
    if (!is_small)
        return file;

    if (read_body(file, fd, text.end) < 0)
        file->kind = FILE_BUSY;
    /* Written to while it was read: the next look reads it again. */
    if (!file_is_current(file))
        file->is_young = true;
    file->body = text.end;
    file->fd = -1;
    return file;
}

struct file *file_load(const struct file_root *root, const char *name,
                       size_t name_size, struct file *known)
{
    struct stat stat;
    struct file *file;
    const char *type;
    int fd = -1;
    enum file_kind kind = open_name(root, name, name_size, &fd, &stat);
    struct file_identity identity;

    if (kind != FILE_REGULAR) {
        if (known && known->kind == kind)
            return known;
        return create(kind, name, name_size, 0);
    }
    identity = identity_of(&stat);
    if (known && known->kind == FILE_REGULAR && !known->is_young &&
        same_identity(&known->identity, &identity)) {
        close(fd);
        return known;
    }
    type = media_type(asks_for_index(name, name_size) ? root->index : name);
    file = create_regular(name, name_size, fd, &stat, type);
    if (!file || file->fd < 0)
        close(fd);
    return file;
}

struct file *file_acquire(struct file *file)
{
    atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void file_release(struct file *file)
{
    if (atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) !=
        1)
        return;
    if (file->fd >= 0)
        close(file->fd);
    free(file);
}
