#ifndef CHORUS_SIM_WIRE_H
#define CHORUS_SIM_WIRE_H

/* A program starts: it has read no token yet. */
void wire_begin(void);

#endif
