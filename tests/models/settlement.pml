/* How an event ends whose end is open: the protocol of gossip/dispatch/settlement.hpp, closing.hpp and settling.hpp,
 * for SPIN.
 *
 * The states of the event are those that the header names. Three subscriptions run: the first takes two deferrals,
 * and it fails or succeeds; the second fails, and is delivered again; the third may fail for good. Then the run closes
 * its share, and its own open end. Each deferral fails or succeeds on a thread of its own, at any time. A part of which
 * some share has failed is delivered again once, when the last share is closed; a worker serves the redeliveries; the
 * bus ends in time, or past its deadline at any moment. However these meet, no attempt begins before all of the one
 * before has ended, the event ends once, its block is freed once, by the last who held an open end, and nobody touches
 * it after that.
 *
 * The run and both parts hold the key of the event. Whoever is the last of those lets it go, once; until then no other
 * event of that key begins, so nothing that holds it may run, be deferred, or wait to be delivered again after that.
 *
 *   -DBATCH             a batch, beside one deferral: the key does not wait for it, unless the rest of the part failed
 *   -DRECEIPT           the event came from elsewhere: a redelivery that the bus's end gives up leaves it to others,
 *                       who get it again, so that it ends as abandoned and not as failed
 *   -DUNASKED_END       broken: whoever closes the last open end does not ask whether the event was abandoned
 *   -DNO_LATE_LOOK      broken: who has scheduled a redelivery does not look whether the bus has ended meanwhile
 *   -DUNGUARDED_RUN     broken: the run's own open end is not counted
 *   -DHASTY_FAILURE     broken: a share that fails has its part delivered again, whoever has others
 *   -DNO_SHARE_OF_RUN   broken: only deferrals have shares, the run has none
 *   -DUNCOUNTED_KEY     broken: a deferral's part does not count as one that the key waits for
 *   -DKEY_TWICE         broken, with BATCH: a part that has let the key go for its batch does so again when it is closed
 *   -DHASTY_KEY         broken, with BATCH: a part lets the key go for its batch without a look whether it has failed
 *   -DLATE_LEAVE        broken, with RECEIPT: the open end is closed before the event is left to others
 */
#define PARTS 2
#ifdef BATCH
#define DEFERRALS 1
#else
#define DEFERRALS 2
#endif
#ifdef HASTY_FAILURE
#define HASTY(well) (!well)
#else
#define HASTY(well) false
#endif

mtype = { open, ended, freed };

mtype state = open;

/* The block */
#ifdef UNGUARDED_RUN
byte open_ends = 0;
#else
byte open_ends = 1; /* the run's */
#endif
bool ended_flag = false;
byte failures = 0;
bool linked = false;
bool left_to_others = false;
byte for_key = 1;    /* open ends that the key waits for: the run's */
byte shares[PARTS];  /* the deferrals and the run have one together */
byte deferrals[PARTS];
bool part_failed[PARTS];
bool holds_key[PARTS];

/* The engine */
bool list_locked = false;
bool timer[PARTS];   /* a redelivery waits */
bool no_more_redeliveries = false;
bool workers_stopped = false;

/* The ledger */
byte handled = 0;
byte failed = 0;
byte abandoned = 0;

bool given[DEFERRALS];
bool collected = false;
byte attempt[PARTS] = 1;
byte busy[PARTS];     /* runs and deferrals of the latest attempt that have not ended */
byte batched[PARTS];  /* batches that have not run what they have collected */
bool owed[PARTS];     /* a run or deferral failed that may be tried again: the key waits for that */
bool running = true;  /* the run of all three */
bool key_free = false;
bool left_behind = false; /* the bus's end gave a redelivery up */

inline lock_list()   { atomic { !list_locked -> list_locked = true } }
inline unlock_list() { list_locked = false }
inline touch()       { assert(state != freed) }

/* One of all who call this gets the end. */
inline take_the_end(mine) { atomic { mine = !ended_flag; ended_flag = true } }

/* The last of those that it waits for hands the key on. */
inline let_go_of_key()
{
    atomic {
        touch();
        for_key--;
        if
        :: for_key == 0 ->
            assert(!key_free && !running);
            assert(!holds_key[0] || (busy[0] == 0 && !timer[0]));
            assert(!holds_key[1] || (busy[1] == 0 && !timer[1]));
            key_free = true
        :: else
        fi
    }
}

inline close(holds, last, mine)
{
    if
    :: holds -> let_go_of_key()
    :: else
    fi;
    atomic { touch(); open_ends--; last = open_ends == 0 }
    if
    :: last ->
        lock_list();
        linked = false;
        unlock_list();
#ifdef UNASKED_END
        mine = true;
#else
        take_the_end(mine);
#endif
        if
        :: mine ->
            atomic {
                touch();
                state = ended;
                if
                :: left_to_others -> abandoned++
                :: failures != 0 && !left_to_others -> failed++
                :: else -> handled++
                fi
            }
        :: else
        fi;
        atomic { touch(); state = freed }
    :: else
    fi
}

/* Nobody has a share any more: the part is delivered again, or closed. */
inline conclude(part, last, mine)
{
    mine = true; /* whether the part is still ours */
    if
    :: part_failed[part] && attempt[part] == 1 && !no_more_redeliveries ->
        touch();
        attempt[part] = 2;
        shares[part] = 1;
        deferrals[part] = 1;
        timer[part] = true; /* from here on the part may be gone */
        mine = false;
#ifndef NO_LATE_LOOK
        if
        :: no_more_redeliveries ->
            atomic { mine = timer[part]; timer[part] = false }
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: mine ->
        if
        :: part_failed[part] -> atomic { touch(); failures = 1 }
        :: else
        fi;
        close(holds_key[part], last, mine)
    :: else
    fi
}

inline close_share(part, well, last, mine)
{
    atomic { touch(); shares[part]--; last = shares[part] == 0 || HASTY(well) }
    if
    :: last -> conclude(part, last, mine)
    :: else
    fi
}

/* A run or a deferral has ended, well or not. */
inline settle(part, well, last, mine)
{
    if
    :: !well -> atomic { touch(); part_failed[part] = true; owed[part] = owed[part] || attempt[part] == 1 }
    :: else
    fi;
    atomic {
        touch();
        busy[part]--;
        deferrals[part]--;
        last = deferrals[part] == 0 || HASTY(well)
    }
    if
    :: last ->
#ifdef BATCH
        if
#ifdef HASTY_KEY
        :: holds_key[part] && shares[part] != 1 ->
#else
        :: holds_key[part] && shares[part] != 1 && !part_failed[part] ->
#endif
#ifndef KEY_TWICE
            holds_key[part] = false;
#endif
            let_go_of_key()
        :: else
        fi;
#endif
        close_share(part, well, last, mine)
    :: else
    fi
}

/* A batch has run what it has collected. */
inline settle_collected(part, well, last, mine)
{
    if
    :: !well -> atomic { touch(); part_failed[part] = true }
    :: else
    fi;
    atomic { touch(); batched[part]-- }
    close_share(part, well, last, mine)
}

inline either(well)
{
    if
    :: well = true
    :: well = false
    fi
}

inline defer(deferral)
{
    atomic {
        touch();
        busy[0]++;
        deferrals[0]++;
        given[deferral] = true
    }
}

inline begin(part)
{
    atomic {
        touch();
        assert(busy[part] == 0 && batched[part] == 0);
        assert(!key_free || !owed[part]);
        busy[part] = 1;
        part_failed[part] = false;
        owed[part] = false
    }
}

proctype Run()
{
    bool well, last, mine;

    begin(0);
    lock_list();
    linked = true;
    unlock_list();
    atomic {
        open_ends++; /* that of the part */
        shares[0] = 1;
        holds_key[0] = true;
#ifndef UNCOUNTED_KEY
        for_key++;
#endif
#ifndef NO_SHARE_OF_RUN
        deferrals[0] = 1
#endif
    }
    defer(0);
#ifdef BATCH
    atomic { touch(); batched[0]++; shares[0]++; collected = true }
#else
    defer(1);
#endif
    atomic { touch(); open_ends++; for_key++; holds_key[1] = true; part_failed[1] = true; owed[1] = true }
    conclude(1, last, mine);
    either(well);
#ifdef NO_SHARE_OF_RUN
    busy[0]--;
#else
    settle(0, well, last, mine);
#endif
    if
    :: atomic { touch(); failures = 1 }
    :: true
    fi;
    running = false;
#ifndef UNGUARDED_RUN
    close(true, last, mine)
#endif
}

proctype Deferred(byte deferral)
{
    bool well, last, mine;

    given[deferral];
    either(well);
    settle(0, well, last, mine)
}

#ifdef BATCH
proctype Batch()
{
    bool well, last, mine;

    collected;
    either(well);
    settle_collected(0, well, last, mine)
}
#endif

proctype Redeliveries()
{
    byte part;
    bool well, last, mine;

    do
    :: atomic { timer[0] && !workers_stopped -> timer[0] = false; part = 0 } ->
        begin(0); either(well); settle(part, well, last, mine)
    :: atomic { timer[1] && !workers_stopped -> timer[1] = false; part = 1 } ->
        begin(1); either(well); settle(part, well, last, mine)
    :: workers_stopped -> break
    od
}

inline give_up_redeliveries(part, last, mine)
{
    no_more_redeliveries = true;
    part = 0;
    do
    :: part < PARTS ->
        atomic {
            mine = timer[part];
            timer[part] = false;
            left_behind = left_behind || mine
        }
        if
        :: mine ->
#if defined(RECEIPT) && !defined(LATE_LEAVE)
            atomic { touch(); left_to_others = true }
#endif
            atomic { touch(); failures = 1 }
            close(holds_key[part], last, mine);
#ifdef LATE_LEAVE
            if
            :: state == open -> left_to_others = true
            :: else
            fi
#endif
        :: else
        fi;
        part++
    :: else -> break
    od
}

proctype Shutdown()
{
    byte part;
    bool last, mine, joined;

    if
    :: handled + failed + abandoned == 1 -> skip /* in time */
    :: timer[0] || timer[1] -> /* nothing but redeliveries waits: they are given up; then it ends in time, or not */
        give_up_redeliveries(part, last, mine);
        if
        :: handled + failed + abandoned == 1
        :: goto too_late
        fi
    :: true ->
too_late:
        no_more_redeliveries = true;
        workers_stopped = true;
        joined = false;
        lock_list();
        if
        :: linked ->
            linked = false;
            atomic { /* one open end more, unless the last one is closed */
                touch();
                if
                :: open_ends != 0 -> open_ends++; joined = true
                :: else
                fi
            };
            if
            :: joined -> take_the_end(mine); assert(mine)
            :: else
            fi
        :: else
        fi;
        unlock_list();
        if
        :: joined ->
            atomic { touch(); state = ended; abandoned++ };
            close(false, last, mine)
        :: else
        fi;
        give_up_redeliveries(part, last, mine)
    fi;
    workers_stopped = true
}

init
{
    atomic {
        run Run();
        run Deferred(0);
#ifdef BATCH
        run Batch();
#else
        run Deferred(1);
#endif
        run Redeliveries();
        run Shutdown()
    }
    _nr_pr == 1 -> /* all have finished */
    assert(handled + failed + abandoned == 1);
    assert(state == freed);
    assert(!timer[0] && !timer[1]);
    assert(key_free && for_key == 0);
#ifdef RECEIPT
    assert(!left_behind || abandoned == 1)
#endif
}
