/* core.pml - lease / confirm / fencing protocol of the control plane (safety).
 *
 * NA agents, 1 control plane (CP) with a durable store, NT tasks, at most MAXATT attempts a task, MAXS sessions an agent.
 * Network: "message soup". A message once sent may be received never (loss), late (delay) or again and again (duplication).
 * Pause (GC, SIGSTOP, slow disk) is implicit: no agent step is ever forced, any number of ticks may pass before it.
 * Time: discrete ticks (1 tick = 1 heartbeat interval); every timer is a saturating age, so the state space is finite.
 *   SL  server marks an agent failed only at >= SL ticks without contact (the seed's "three consecutive intervals")
 *   AL  agent's own lease, counted from the SEND time of the last acknowledged heartbeat (AL < SL: the margin)
 *   W   validity window of a confirm, counted from the SEND time of the accept
 * One process, one d_step per protocol action: every interleaving of actions is explored.
 *
 * Rules that can be REMOVED (-D...) to see the model fail:
 *   NO_VALIDITY    agent starts on any matching confirm: neither lease check nor window (both removed)
 *   NO_LEASECHECK  only the window is checked          NO_WINDOW   only the lease is checked
 *   NO_REFRESH     an accept does not count as contact
 *   NO_FENCE       a result is taken whatever its attempt number
 *   NO_SESSION     offers are not bound to the agent's session (crash + restart reuses old offers/confirms)
 *   NO_HBFENCE     a heartbeat of a session already failed is acknowledged and revives it
 *   NO_PERSIST     confirm leaves before the store has it
 *   NO_FREEZE      liveness clock runs on while the CP is down, no grace after restart
 *   NO_MARGIN      AL = SL and the agent counts from ACK RECEIPT instead of heartbeat send
 *   NO_GUARD       (ABORT) the kill needs the agent process to run: a pause delays it without bound
 *   GAP            the check and the start are two steps, a pause may fall between them
 * Policy: default CONTINUE (worker of the seed); -DABORT = self-fence (triggerer of the seed; opt-in for workers).
 * -DLEAN (for NT=2): the same protocol with fewer stored bits: (a) an acknowledgement is not a stored message - the agent may take any
 *    lease age i >= the server's miss age (every real ack is such a step, so this only ADDS behaviours); (b) CP down + restart is one step
 *    (all CP steps are optional, so being down = taking none); (c) bits of messages that no guard can ever read again are cleared.
 *    (d) by symmetry of tasks and agents the very first offer is task 0 to agent 0.
 * -DADOPT: a late result of the highest attempt is taken while the task still waits for its next attempt.
 */
#include "invariants.h"
#ifndef NA
#define NA 2
#endif
#ifndef NT
#define NT 2
#endif
#ifndef MAXATT
#define MAXATT 2
#endif
#ifndef MAXS
#define MAXS 2
#endif
#ifdef SHORT            /* shorter timers: SL 2, AL 1, W 1 */
#define SL 2
#define AL 1
#define W 1
#else
#define SL 3
#ifdef NO_MARGIN
#define AL 3
#else
#define AL 2
#endif
#define W 2
#endif
#ifdef WITNESS          /* must FAIL: shows that a second attempt can be accepted (the model is not vacuous) */
#define WIT(n) INV(REACHED, n != 2)
#else
#define WIT(n) skip
#endif

#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define SUCC 3

#define IDLE 0
#define ACC 1
#define CHK 2
#define RUN 3

/* control plane, durable */
byte sSt[NT], sAtt[NT], sOwn[NT];
bit  sAlive[NA];
byte sSess[NA], miss[NA];
bit  cpUp = 1;
#ifdef NO_PERSIST
bit  dirty[NT];                    /* confirm sent, not yet stored */
#endif
/* ghosts */
#ifdef NO_FREEZE
byte g[NA];                        /* ticks without contact during which the CP was up all the time */
#endif
bit  accepted[NT];
/* soup, index X(t,n) */
#define X(t,n) ((t)*MAXATT+(n)-1)
byte offA[NT*MAXATT], offS[NT*MAXATT];
bit  mAcc[NT*MAXATT], mConf[NT*MAXATT], mDecl[NT*MAXATT], mRes[NT*MAXATT], started[NT*MAXATT];
#ifdef NO_FENCE
bit  taken[NT*MAXATT];
#endif
/* agents */
bit  aUp[NA];
byte aSess[NA], aLease[NA], pend[NA];  /* pend: 0 none, k = an ack under way for a heartbeat sent k-1 ticks ago */
#define Y(a,t) ((a)*NT+(t))
byte aSt[NA*NT], aAtt[NA*NT], aAge[NA*NT], aMax[NA*NT];

#define DROP(a,t) aSt[Y(a,t)] = IDLE; aAtt[Y(a,t)] = 0; aAge[Y(a,t)] = 0

#ifdef NO_VALIDITY
#define VALID(a,t) true
#else
#ifdef NO_LEASECHECK
#define VALID(a,t) (aAge[Y(a,t)] < W)
#else
#ifdef NO_WINDOW
#define VALID(a,t) (aLease[a] < AL)
#else
#define VALID(a,t) (aAge[Y(a,t)] < W && aLease[a] < AL)
#endif
#endif
#endif

#ifdef NO_SESSION
#define SESSOK(a,t,n) true
#else
#define SESSOK(a,t,n) (offS[X(t,n)] == aSess[a])
#endif

/* ---- invariants asserted at every start ---- */
#ifdef ONLY_I4
#define CHECKSTART(a,o,t,n) skip
#else
#ifdef ABORT
#define CHECKCOPIES(a,o,t,n) INV(I3, !(aSt[Y(o,t)] == RUN)) /* I3a: at most one running copy */
#else
#define CHECKCOPIES(a,o,t,n) INV(I3, !(aSt[Y(o,t)] == RUN) || (aAtt[Y(o,t)] < n && (!sAlive[o] || aSess[o] != sSess[o]))) /* I3c */
#endif
#define CHECKSTART(a,o,t,n) \
   INV(I1, !started[X(t,n)]);                                             /* I1: an attempt starts at most once   */ \
   INV(I2, sSt[t] == CONF && sAtt[t] == n && sOwn[t] == a);              /* I2: no start after the CP revoked it */ \
   CHECKCOPIES(a,o,t,n)
#endif

#ifdef LEAN
#define ACCBIT(t,n) (sSt[t] == OFFERED && sAtt[t] == n)
#define CONFBIT(t,n) (aSt[Y(sOwn[t],t)] == ACC && aAtt[Y(sOwn[t],t)] == n)
#define DECLBIT(t,n) (sAtt[t] == n && (sSt[t] == CONF || sSt[t] == OFFERED))
#define RESBIT(t,n) (sAtt[t] == n && sSt[t] == CONF)
#define OFFDEAD(t,n) offA[X(t,n)] = 0; offS[X(t,n)] = 0
#define OFFDEADIF(t,n,c) if :: c -> OFFDEAD(t,n) :: else fi
#define REQ(t) mAcc[X(t,sAtt[t])] = 0; mDecl[X(t,sAtt[t])] = 0; mRes[X(t,sAtt[t])] = 0
#define CONFDEAD(t,n) mConf[X(t,n)] = 0
#define SYMOK(t,a) (sAtt[0] > 0 || (t == 0 && a == 0))
#else
#define ACCBIT(t,n) 1
#define CONFBIT(t,n) 1
#define DECLBIT(t,n) 1
#define RESBIT(t,n) 1
#define OFFDEAD(t,n) skip
#define OFFDEADIF(t,n,c) skip
#define REQ(t) skip
#define CONFDEAD(t,n) skip
#define SYMOK(t,a) true
#endif

/* ---- actions ---- */
#ifdef LEAN
#define HB(a,i)   :: d_step { i == 0 && sAlive[a] && sSess[a] == aSess[a] && aUp[a] && miss[a] > 0 -> miss[a] = 0 }
#else
#define HB(a,i)   :: d_step { cpUp && sAlive[a] && sSess[a] == aSess[a] && aUp[a] && (miss[a] > 0 || pend[a] != i+1) -> miss[a] = 0; pend[a] = i+1; GZ(a) }
#endif
#ifdef NO_FREEZE
#define GZ(a) g[a] = 0
#else
#define GZ(a) skip
#endif
#ifdef LEAN
#define ACK(a)    :: d_step { aUp[a] && sSess[a] == aSess[a] && miss[a] == 0 && aLease[a] > 0 -> aLease[a] = 0 } \
   :: d_step { aUp[a] && sSess[a] == aSess[a] && miss[a] <= 1 && aLease[a] > 1 -> aLease[a] = 1 }
#else
#ifdef NO_MARGIN
#define ACK(a)    :: d_step { aUp[a] && pend[a] > 0 -> aLease[a] = 0; pend[a] = 0 }
#else
#define ACK(a)    :: d_step { aUp[a] && pend[a] > 0 -> if :: pend[a]-1 < aLease[a] -> aLease[a] = pend[a]-1 :: else fi; pend[a] = 0 }
#endif
#endif
#ifdef NO_HBFENCE
#define REVIVE(a) :: d_step { cpUp && !sAlive[a] && sSess[a] == aSess[a] && aUp[a] -> sAlive[a] = 1; miss[a] = 0; pend[a] = 1; GZ(a) }
#else
#define REVIVE(a)
#endif
#define OFFER(t,a) :: d_step { cpUp && sAlive[a] && sSt[t] == QUEUED && sAtt[t] < MAXATT && SYMOK(t,a) -> \
   sAtt[t]++; sSt[t] = OFFERED; sOwn[t] = a; offA[X(t,sAtt[t])] = a; offS[X(t,sAtt[t])] = sSess[a] }
#define WITHDRAW(t) :: d_step { cpUp && sSt[t] == OFFERED -> sSt[t] = QUEUED; REQ(t); OFFDEADIF(t,sAtt[t],aMax[Y(sOwn[t],t)] >= sAtt[t]); CLEAN(t) }
#ifdef NO_PERSIST
#define CLEAN(t) dirty[t] = 0
#else
#define CLEAN(t) skip
#endif
#define GETOFFER(a,t,n) :: d_step { aUp[a] && n <= sAtt[t] && offA[X(t,n)] == a && SESSOK(a,t,n) && aMax[Y(a,t)] < n && aSt[Y(a,t)] == IDLE -> \
   aSt[Y(a,t)] = ACC; aAtt[Y(a,t)] = n; aAge[Y(a,t)] = 0; aMax[Y(a,t)] = n; mAcc[X(t,n)] = ACCBIT(t,n); OFFDEADIF(t,n,!ACCBIT(t,n)) }
#ifdef NO_REFRESH
#define REFRESH(t) skip
#else
#define REFRESH(t) miss[sOwn[t]] = 0; GZ(sOwn[t])
#endif
#ifdef NO_PERSIST
#define GETACC(t,n) :: d_step { cpUp && mAcc[X(t,n)] && sSt[t] == OFFERED && sAtt[t] == n && !dirty[t] && sAlive[sOwn[t]] && sSess[sOwn[t]] == offS[X(t,n)] -> \
   mConf[X(t,n)] = 1; dirty[t] = 1; REFRESH(t) } \
   :: d_step { cpUp && dirty[t] && sSt[t] == OFFERED -> sSt[t] = CONF; dirty[t] = 0 }
#else
#define GETACC(t,n) :: d_step { cpUp && mAcc[X(t,n)] && sSt[t] == OFFERED && sAtt[t] == n && sAlive[sOwn[t]] && sSess[sOwn[t]] == offS[X(t,n)] -> \
   sSt[t] = CONF; mConf[X(t,n)] = CONFBIT(t,n); mAcc[X(t,n)] = ACCBIT(t,n); OFFDEAD(t,n); REFRESH(t) }
#endif
#ifdef GAP
#define GETCONF(a,o,t,n) :: d_step { aUp[a] && mConf[X(t,n)] && aSt[Y(a,t)] == ACC && aAtt[Y(a,t)] == n && VALID(a,t) -> aSt[Y(a,t)] = CHK; aAge[Y(a,t)] = 0 } \
   :: d_step { aUp[a] && aSt[Y(a,t)] == CHK && aAtt[Y(a,t)] == n -> CHECKSTART(a,o,t,n); started[X(t,n)] = 1; aSt[Y(a,t)] = RUN }
#else
#define GETCONF(a,o,t,n) :: d_step { aUp[a] && mConf[X(t,n)] && aSt[Y(a,t)] == ACC && aAtt[Y(a,t)] == n && VALID(a,t) -> \
   CHECKSTART(a,o,t,n); started[X(t,n)] = 1; CONFDEAD(t,n); aSt[Y(a,t)] = RUN; aAge[Y(a,t)] = 0 }
#endif
#define DECLINE(a,t) :: d_step { aUp[a] && aSt[Y(a,t)] == ACC && !VALID(a,t) -> mDecl[X(t,aAtt[Y(a,t)])] = DECLBIT(t,aAtt[Y(a,t)]); CONFDEAD(t,aAtt[Y(a,t)]); DROP(a,t) }
#define GETDECL(t,n) :: d_step { cpUp && mDecl[X(t,n)] && sAtt[t] == n && (sSt[t] == CONF || sSt[t] == OFFERED) -> REQ(t); sSt[t] = QUEUED; CLEAN(t) }
#define FINISH(a,t) :: d_step { aUp[a] && aSt[Y(a,t)] == RUN -> mRes[X(t,aAtt[Y(a,t)])] = RESBIT(t,aAtt[Y(a,t)]); DROP(a,t) }
/* I4: at most one result is taken for a task, and it belongs to an attempt that really started */
#ifdef NO_FENCE
#define GETRES(t,n) :: d_step { cpUp && mRes[X(t,n)] && !taken[X(t,n)] -> taken[X(t,n)] = 1; INV(I4, !accepted[t]); INV(I4, started[X(t,n)]); accepted[t] = 1; sSt[t] = SUCC }
#else
#ifdef ADOPT
#define GETRES(t,n) :: d_step { cpUp && mRes[X(t,n)] && sAtt[t] == n && (sSt[t] == CONF || sSt[t] == QUEUED) -> INV(I4, !accepted[t]); INV(I4, started[X(t,n)]); accepted[t] = 1; sSt[t] = SUCC }
#else
#define GETRES(t,n) :: d_step { cpUp && mRes[X(t,n)] && sAtt[t] == n && sSt[t] == CONF -> INV(I4, !accepted[t]); INV(I4, started[X(t,n)]); accepted[t] = 1; WIT(n); REQ(t); sSt[t] = SUCC }
#endif
#endif
#define LOSE(a,t) if :: sOwn[t] == a && (sSt[t] == OFFERED || sSt[t] == CONF) -> REQ(t); sSt[t] = QUEUED; CLEAN(t) :: else fi
#ifdef NO_FREEZE
#define CHECKI5(a) INV(I5, g[a] >= SL)   /* I5: a CP outage alone never fails an agent */
#else
#define CHECKI5(a) skip
#endif
#if NT == 2
#define LOSEALL(a) LOSE(a,0); LOSE(a,1)
#define DROPALL(a) DROP(a,0); DROP(a,1)
#else
#define LOSEALL(a) LOSE(a,0)
#define DROPALL(a) DROP(a,0)
#endif
#define FAIL(a)  :: d_step { cpUp && sAlive[a] && miss[a] >= SL -> CHECKI5(a); sAlive[a] = 0; LOSEALL(a) }
#ifdef LEAN
#define OFFC(a,t,n) if :: offA[X(t,n)] == a && offS[X(t,n)] > 0 -> OFFDEAD(t,n); mConf[X(t,n)] = 0 :: else fi
#if MAXATT == 3
#define OFFCT(a,t) OFFC(a,t,1); OFFC(a,t,2); OFFC(a,t,3)
#else
#define OFFCT(a,t) OFFC(a,t,1); OFFC(a,t,2)
#endif
#if NT == 2
#define OFFCLEAR(a) OFFCT(a,0); OFFCT(a,1)
#else
#define OFFCLEAR(a) OFFCT(a,0)
#endif
#else
#define OFFCLEAR(a) skip
#endif
/* (re-)registration gives a fresh session; an agent that kept running (CONTINUE) is told to kill what was revoked */
#define REREG(a) :: d_step { cpUp && !sAlive[a] && sSess[a] < MAXS -> sSess[a]++; sAlive[a] = 1; miss[a] = 0; GZ(a); \
   aSess[a] = sSess[a]; aUp[a] = 1; aLease[a] = 0; pend[a] = 0; DROPALL(a); OFFCLEAR(a) }
#if NT == 2
#define AMAX0(a) aMax[Y(a,0)] = 0; aMax[Y(a,1)] = 0
#else
#define AMAX0(a) aMax[Y(a,0)] = 0
#endif
#define CRASH(a) :: d_step { aUp[a] -> aUp[a] = 0; aLease[a] = AL; pend[a] = 0; DROPALL(a); AMAX0(a) }
#ifdef ABORT
#ifdef NO_GUARD
#define URGENT(a,t) false
#define GUARD(a,t) :: d_step { aUp[a] && aSt[Y(a,t)] == RUN && aLease[a] >= AL -> mDecl[X(t,aAtt[Y(a,t)])] = DECLBIT(t,aAtt[Y(a,t)]); DROP(a,t) }
#else
#define URGENT(a,t) (aSt[Y(a,t)] == RUN && aLease[a] >= AL)
#define GUARD(a,t) :: d_step { aSt[Y(a,t)] == RUN && aLease[a] >= AL -> mDecl[X(t,aAtt[Y(a,t)])] = DECLBIT(t,aAtt[Y(a,t)]); DROP(a,t) }
#endif
#else
#define URGENT(a,t) false
#define GUARD(a,t)
#endif
#define AGEACC(a,t) if :: aSt[Y(a,t)] == ACC && aAge[Y(a,t)] < W -> aAge[Y(a,t)]++ :: else fi
#ifdef NO_FREEZE
#define MISS(a) if :: miss[a] < SL -> miss[a]++ :: else fi; if :: cpUp && g[a] < SL -> g[a]++ :: !cpUp -> g[a] = 0 :: else fi
#else
#define MISS(a) if :: cpUp && miss[a] < SL -> miss[a]++ :: else fi
#endif
#if NT == 2
#define AGES(a) AGEACC(a,0); AGEACC(a,1)
#define URG(a) (URGENT(a,0) || URGENT(a,1))
#else
#define AGES(a) AGEACC(a,0)
#define URG(a) URGENT(a,0)
#endif
#define TICKA(a) MISS(a); if :: aLease[a] < AL -> aLease[a]++ :: else fi; \
   if :: pend[a] > 0 && pend[a] < AL -> pend[a]++ :: pend[a] >= AL -> pend[a] = 0 :: else fi; AGES(a)
#ifdef NO_FREEZE
#define GRACE skip
#else
#ifdef LEAN  /* (a) reads the age of an ended session too: it must not fall, or the fold would invent acknowledgements */
#define GRACEOF(a) if :: sAlive[a] -> miss[a] = 0 :: else fi
#else
#define GRACEOF(a) miss[a] = 0
#endif
#define GRACE GRACEOF(0); GRACEOF(1)
#endif
#ifdef NO_PERSIST
#if NT == 2
#define LOSTMEM dirty[0] = 0; dirty[1] = 0
#else
#define LOSTMEM dirty[0] = 0
#endif
#else
#define LOSTMEM skip
#endif

#define PERAT(a,o,t,n) GETOFFER(a,t,n) GETCONF(a,o,t,n)
#if MAXATT == 3
#define PERTA(a,o,t) OFFER(t,a) DECLINE(a,t) FINISH(a,t) GUARD(a,t) PERAT(a,o,t,1) PERAT(a,o,t,2) PERAT(a,o,t,3)
#define PERT(t) WITHDRAW(t) GETACC(t,1) GETACC(t,2) GETACC(t,3) GETDECL(t,1) GETDECL(t,2) GETDECL(t,3) GETRES(t,1) GETRES(t,2) GETRES(t,3)
#else
#define PERTA(a,o,t) OFFER(t,a) DECLINE(a,t) FINISH(a,t) GUARD(a,t) PERAT(a,o,t,1) PERAT(a,o,t,2)
#define PERT(t) WITHDRAW(t) GETACC(t,1) GETACC(t,2) GETDECL(t,1) GETDECL(t,2) GETRES(t,1) GETRES(t,2)
#endif
#define PERA(a) HB(a,0) HB(a,1) ACK(a) REVIVE(a) FAIL(a) REREG(a) CRASH(a)

active proctype world() {
  d_step { aUp[0] = 1; aUp[1] = 1; sAlive[0] = 1; sAlive[1] = 1; sSess[0] = 1; sSess[1] = 1; aSess[0] = 1; aSess[1] = 1 }
end:
  do
  PERA(0) PERA(1)
  PERT(0) PERTA(0,1,0) PERTA(1,0,0)
#if NT == 2
  PERT(1) PERTA(0,1,1) PERTA(1,0,1)
#endif
#ifdef LEAN
  :: d_step { (sAlive[0] && miss[0] > 0) || (sAlive[1] && miss[1] > 0) -> GRACE }
#else
  :: d_step { cpUp -> cpUp = 0; LOSTMEM }
  :: d_step { !cpUp -> cpUp = 1; GRACE }
#endif
  :: d_step { !URG(0) && !URG(1) -> TICKA(0); TICKA(1) }
  od
}
