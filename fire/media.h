/* Media types by the last extension of a file's name. */
#ifndef FIRE_MEDIA_H
#define FIRE_MEDIA_H

/* The Content-Type of a file of this name; a constant string. */
const char *media_type(const char *path);

#endif
