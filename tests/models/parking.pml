/* Who sleeps, who is on duty, whom to wake: the protocol of gossip/concurrency/parking_lot.hpp, for SPIN.
 *
 * The states of a worker are those that the header names. Each operation on `state_` is one step here, as all of them
 * are seq_cst where it matters (tests/interleavings looks at the orders); what stands under the lock is between
 * `lock` and `unlock`. One of two items lasts until the other is handled, so a lost wake-up is a state in which nobody
 * can go on, which SPIN calls an invalid end state.
 *
 *   -DSURPRISE          the workers think their items brief: they claim on duty, all that waits at once, and the
 *                       lookout has to notice
 *   -DREADER            one item comes from a thread that is no worker, and handles it in a sleeper's place
 *   -DNO_SECOND_LOOK    broken: a worker that lists itself does not look for work again
 *   -DNO_RESIGNATION    broken: a worker begins what takes long while it is on duty, and thinks that nobody minds
 *   -DHASTY_LOOKOUT     broken, with SURPRISE: the lookout decides and stands down in two steps
 *   -DSILENT_RUN        broken, with SURPRISE: who keeps the rest of its claim does not look whether somebody sleeps
 *   -DSILENT_RETURN     broken, with READER: who gives a place back does not look for work
 *   -DEARLY_RISER       broken, with READER: who is lent out while it looks for work gets up for what it sees
 */
#define WORKERS 2
#define ITEMS   2
#define nobody  255
#ifdef READER
#define OTHERS  1 /* items of the reader's */
#else
#define OTHERS  0
#endif

mtype = { working, searching, listed, parked, lent, gone };

mtype worker[WORKERS] = working;

/* state_ */
byte owner = 0; /* 0, or the worker on duty plus one */
byte sleepers = 0;
bool lookout_flag = false;

/* under the lock */
bool locked = false;
bool on_list[WORKERS];
byte lookout = nobody;
byte seen_owner = 0;
bool is_lent[WORKERS];
bool occupied[WORKERS]; /* somebody works in that place */

bool permit[WORKERS]; /* of the parkers */
byte tail = 0;
byte head = 0;
byte handled = 0;
bool stopping = false;
#ifdef SURPRISE
byte periods = 8; /* a lookout's periods, in all: more would mean that only time helps */
byte early = 1;   /* that pass while somebody could run */
byte kept[WORKERS]; /* claimed by that worker and not begun: 0, or the item plus one; anybody may take it */
#define has_work (head < tail || kept[0] != 0 || kept[1] != 0)
#else
#define has_work (head < tail)
#endif

inline lock()   { atomic { !locked -> locked = true } }
inline unlock() { locked = false }

/* Under the lock: `who` is taken off the list. */
inline leave(who)
{
    d_step { on_list[who] = false; sleepers--; }
    if
    :: lookout == who ->
        lookout = nobody;
        lookout_flag = false;
        if
        :: owner != 0 && on_list[1 - who] ->
            d_step { lookout = 1 - who; seen_owner = 0; }
            lookout_flag = true;
            permit[1 - who] = true
        :: else
        fi
    :: else
    fi
}

inline pick(next)
{
    if
    :: on_list[0] && (lookout != 0 || !on_list[1]) -> next = 0
    :: on_list[1] && (lookout != 1 || !on_list[0]) -> next = 1
    :: else -> next = nobody
    fi
}

inline wake_one(next)
{
    lock();
    pick(next);
    if
    :: next != nobody ->
        if
        :: atomic { owner == 0 -> owner = next + 1 } ->
            leave(next)
        :: else -> next = nobody
        fi
    :: else
    fi;
    unlock();
    if
    :: next != nobody -> permit[next] = true
    :: else
    fi
}

inline wake_helper(next)
{
    lock();
    pick(next);
    if
    :: next != nobody -> leave(next)
    :: else
    fi;
    unlock();
    if
    :: next != nobody -> permit[next] = true
    :: else
    fi
}

/* After a ticket, or a resignation: one look at state_. */
inline notify(next)
{
    if
    :: owner == 0 && sleepers != 0 -> wake_one(next)
    :: else
    fi
}

inline resign(me)
{
    atomic {
        if
        :: owner == me + 1 -> owner = 0
        :: else
        fi
    }
}

proctype Publisher()
{
    byte next;
    byte published = 0;

    do
    :: published < ITEMS - OTHERS ->
        tail++;
        notify(next);
        published++
    :: else -> break
    od
}

#ifdef READER
proctype Reader()
{
    byte place = nobody;
    byte next;
    byte mine;
    bool attended;
    bool taken;

    /* borrow */
    if
    :: owner == 0 && sleepers != 0 ->
        lock();
        pick(place);
        if
        :: place != nobody && !stopping ->
            if
            :: atomic { owner == 0 -> owner = place + 1 } ->
                leave(place);
                d_step { is_lent[place] = true; worker[place] = lent }
            :: else -> place = nobody
            fi
        :: else -> place = nobody
        fi;
        unlock()
    :: else
    fi;
    tail++;
    notify(next);
    if
    :: place == nobody -> goto end
    :: else
    fi;

    /* work in that place */
    do
    :: true ->
        atomic {
            taken = head < tail;
            mine = head;
            head = head + taken
        }
        if
        :: !taken -> break
        :: else
        fi;
        resign(place);
        if
        :: owner == 0 && sleepers != 0 && has_work -> wake_one(next)
        :: else
        fi;
        assert(!occupied[place]);
        occupied[place] = true;
        if
        :: mine == 0 -> handled == ITEMS - 1
        :: else
        fi;
        atomic {
            occupied[place] = false;
            handled++;
            stopping = handled == ITEMS
        }
        if
        :: stopping -> wake_helper(next); wake_helper(next)
        :: else
        fi;
        if
        :: has_work -> break
        :: else
        fi
    od;

    /* give it back */
    lock();
    on_list[place] = true;
    is_lent[place] = false;
    atomic {
        sleepers++;
        if
        :: owner == place + 1 -> owner = 0
        :: else
        fi;
        attended = owner != 0;
        if
        :: attended && lookout == nobody -> lookout_flag = true; lookout = place; seen_owner = 0
        :: else
        fi;
        worker[place] = parked
    }
    taken = stopping;
    unlock();
#ifdef SILENT_RETURN
    goto end;
#endif
    if
    :: !taken && (attended || !has_work) -> goto end
    :: else
    fi;
    lock();
    if
    :: on_list[place] -> leave(place)
    :: else
    fi;
    unlock();
    permit[place] = true;
end:
    skip
}
#endif

proctype Worker(byte me)
{
    byte next;
    byte mine;
    bool ahead;
    bool attended;
    bool taken;
    bool searched = false;
    byte rest = 0;

next_round:
    worker[me] = working;
    do
    :: stopping -> break
    :: else ->
        ahead = false;
#ifdef SURPRISE
        /* attend: only while somebody would notice */
        atomic {
            if
            :: lookout_flag || sleepers == 0 ->
                if
                :: owner == 0 -> owner = me + 1
                :: else
                fi;
                ahead = true
            :: else
            fi
        }
#endif
#ifdef SURPRISE
        atomic { /* its own run, or a new one */
            if
            :: kept[me] != 0 -> taken = true; mine = kept[me] - 1; kept[me] = 0
            :: else ->
                taken = head < tail;
                mine = head;
                if
                :: taken && ahead && mine + 1 < tail -> rest = mine + 2; head = tail
                :: else -> head = head + taken
                fi
            fi
        }
        if
        :: rest != 0 -> kept[me] = rest /* until here it is to be seen nowhere */
        :: else
        fi;
        atomic { /* another's run */
            if
            :: !taken && kept[1 - me] != 0 -> taken = true; mine = kept[1 - me] - 1; kept[1 - me] = 0
            :: else
            fi
        }
#else
        atomic {
            taken = head < tail;
            mine = head;
            head = head + taken
        }
#endif
        if
        :: taken ->
            searched = false;
            if
            :: ahead ->
#ifndef SILENT_RUN
                if
                :: rest != 0 -> notify(next)
                :: else
                fi;
#endif
                rest = 0
            :: else ->
#ifndef NO_RESIGNATION
                resign(me);
#endif
                if
                :: owner == 0 && sleepers != 0 && has_work -> wake_one(next)
                :: else
                fi
            fi;
            assert(!occupied[me]);
            occupied[me] = true;
            if
            :: mine == 0 -> handled == ITEMS - 1 /* it lasts until all others are handled */
            :: else
            fi;
            atomic {
                occupied[me] = false;
                handled++;
                stopping = handled == ITEMS
            }
            if
            :: stopping -> wake_helper(next); wake_helper(next)
            :: else
            fi
        :: else ->
            atomic { /* take_duty */
                if
                :: owner == 0 -> owner = me + 1
                :: else
                fi
            }
            if
            :: owner == me + 1 && !searched -> searched = true; worker[me] = searching
            :: else -> searched = false; break
            fi
        fi
    od;
    if
    :: stopping -> goto end
    :: else
    fi;

    /* sleep */
    lock();
    on_list[me] = true;
    atomic {
        sleepers++;
        if
        :: owner == me + 1 -> owner = 0
        :: else
        fi;
        attended = owner != 0;
        if
        :: attended && lookout == nobody -> lookout_flag = true; lookout = me; seen_owner = 0
        :: else
        fi;
        worker[me] = listed
    }
    taken = stopping;
    unlock();
#ifdef NO_SECOND_LOOK
    if
    :: !taken -> goto park
#else
    if
    :: !taken && (attended || !has_work) -> goto park
#endif
    :: else
    fi;
    lock();
    if
    :: on_list[me] -> leave(me)
    :: else
    fi;
    taken = is_lent[me];
    unlock();
#ifndef EARLY_RISER
    if
    :: taken -> goto park
    :: else
    fi;
#endif
    goto next_round;

park:
    atomic {
        if
        :: is_lent[me]
        :: else -> worker[me] = parked
        fi
    }
    do
    :: permit[me] ->
        permit[me] = false;
        lock();
        taken = on_list[me] || is_lent[me];
        unlock();
        if
        :: taken
        :: else -> goto next_round
        fi
#ifdef SURPRISE
    :: atomic { early > 0 && periods > 0 && lookout == me -> early--; periods-- } -> goto look_around
    :: atomic { timeout && periods > 0 && lookout == me -> periods-- } -> goto look_around
#endif
    od;

#ifdef SURPRISE
look_around:
    lock();
    if
    :: !on_list[me] -> unlock(); goto next_round
    :: lookout != me -> unlock(); goto park
    :: else
    fi;
    /* Progress is not modelled: whoever is seen twice has made none. */
#ifdef HASTY_LOOKOUT
    next = owner;
    if
    :: next != 0 && next != seen_owner -> seen_owner = next; unlock(); goto park
    :: else
    fi;
    atomic {
        if
        :: next != 0 && owner == next -> owner = 0
        :: else
        fi
    }
    lookout = nobody;
    lookout_flag = false;
#else
    atomic {
        if
        :: owner != 0 && owner != seen_owner -> seen_owner = owner; locked = false; goto park
        :: else -> owner = 0; lookout_flag = false
        fi
    }
    lookout = nobody;
#endif
    if
    :: has_work ->
        if
        :: atomic { owner == 0 -> owner = me + 1 } -> leave(me); unlock(); goto next_round
        :: else
        fi
    :: else
    fi;
    unlock();
    goto park;
#endif

end:
    resign(me);
    worker[me] = gone
}

init
{
    atomic {
        run Worker(0);
        run Worker(1);
#ifdef READER
        run Reader();
#endif
        run Publisher()
    }
}
