/* live.pml - liveness: once the faults are over, every task ends (I14).
 *
 * 2 agents, 1 task. Before the healing anything may be lost, agents crash and return, sessions fail or are ended, and no step is forced.
 * From the healing on agent 0 lives and every message gets through; agent 1 lives or is gone for good; what was lost before stays lost.
 * A tick (one heartbeat interval; SL 3, W 2, lost_after LA) then comes only when nothing else is left to do. What runs ends at once: I14
 * counts its run time apart.
 *
 * Rules kept: S5, S6, S7, L2, L5 (a new hello), L8, H1, H2 (requeue), C1, C2, offers with a time to live, sweeps beside wake-ups.
 * Asserted: I14: SL + lost_after + SL + 60 s (6 ticks) after the healing the task has ended; and no cycle of steps without a tick
 *   (the runs with -DLIVENESS search for non-progress cycles, which no count of ticks would show).
 * Mutants:
 *   NO_TTL      an offer has no time to live                NO_W        an accept is kept for ever
 *   NO_S7       what is absent from an inventory stays      NO_RESEND   a result is sent once
 *   NO_FAIL     no agent is failed                          NO_REHELLO  after SESSION_ENDED no new hello
 *   NO_SWEEP    a lost wake-up is not made good by a sweep  NO_DUE      a hold never falls due
 *   NO_BACKOFF  (-DLIVENESS) what an agent declines for want of slots is offered to it again at once
 * WITNESS: the task ends after it was HELD beyond the healing.
 */
#include "invariants.h"
#ifdef SHORT   /* shorter timers, for small bounds */
#define SL 2
#define W 1
#define LA 1
#else
#define SL 3
#define W 2
#define LA 2
#endif
#ifndef MAXF
#define MAXF 2   /* crashes and ends by operators; losses and delays are without bound */
#endif
#define BOUND (SL + LA + SL + 6)
#define QUEUED 0
#define OFFERED 1
#define CONF 2
#define HELD 3
#define DONE 4
#define IDLE 0
#define ACC 1
#define RUN 2
#define ENDED 3
byte faults, tSt, own, ttl, failAge, t; bit healed, heldAfter;
bit up[2], has[2], open[2], ending[2], giveup[2], wokenLost, inv[2];
byte miss[2], aSt[2], aAge[2];
bit cur[2];                                 /* what the agent holds is the task's current attempt */
bit offLost, accLost, confLost, declLost, resLost, decl;

#define MINE(a) (own == a && tSt != QUEUED && tSt != DONE)
/* what no step can read any more is cleared, here and below: it keeps the state space small */
#define REQUEUE tSt = QUEUED; own = 0; failAge = 0; cur[0] = 0; cur[1] = 0; offLost = 0; accLost = 0; confLost = 0; decl = 0; ttl = 0
#define DROP(a) aSt[a] = IDLE; aAge[a] = 0; cur[a] = 0
#define KNOWN(a) (up[a] && has[a] && open[a] && !ending[a])
#define FREE(a) (aSt[a] == IDLE)
#ifdef NO_BACKOFF
#define OFFERTO(a) (aSt[a] == IDLE || aSt[a] == ENDED)
#else
#define OFFERTO(a) FREE(a)   /* H3, S8: the store counts what the agent holds */
#endif

#define gOFFER(a)   (tSt == QUEUED && open[a] && !ending[a] && !inv[a] && miss[a] <= 1 && OFFERTO(a))
#define gTAKE(a)    (tSt == OFFERED && own == a && KNOWN(a) && !offLost && FREE(a))
#define gBUSY(a)    (tSt == OFFERED && own == a && KNOWN(a) && !offLost && !FREE(a) && !cur[a])
#define gCONFIRM(a) (tSt == OFFERED && own == a && aSt[a] == ACC && cur[a] && !accLost && open[a] && !ending[a] && miss[a] < SL)
#define gSTART(a)   (tSt == CONF && own == a && aSt[a] == ACC && cur[a] && !confLost && aAge[a] < W && KNOWN(a))
#define gEND(a)     (aSt[a] == RUN)
#define gREPORT(a)  (aSt[a] == ENDED && KNOWN(a) && !resLost)
#ifdef NO_W
#define gEXPIRE(a)  false
#else
#define gEXPIRE(a)  (aSt[a] == ACC && aAge[a] >= W && up[a])
#endif
#define gDECLINE    (decl && !declLost && (tSt == OFFERED || tSt == CONF))
#ifdef NO_TTL
#define gTTL        false
#else
#define gTTL        (tSt == OFFERED && ttl >= W)
#endif
#ifdef NO_S7
#define gABSENT(a)  false
#else
#define gABSENT(a)  (tSt == CONF && own == a && KNOWN(a) && !inv[a] && !cur[a])
#endif
#define gSTALE(a)   (aSt[a] != IDLE && !cur[a] && KNOWN(a) && !inv[a])   /* KILL, or STALE */
#define gBEAT(a)    (KNOWN(a) && miss[a] > 0 && miss[a] < SL)
#ifdef NO_REHELLO
#define gHELLO(a)   (up[a] && !has[a])
#else
#define gHELLO(a)   (up[a] && !(has[a] && open[a] && !ending[a]))
#endif
#define gINV(a)     (inv[a] && KNOWN(a))
#ifdef NO_FAIL
#define gFAIL(a)    false
#else
#define gFAIL(a)    (open[a] && miss[a] >= SL)
#endif
#ifdef NO_SWEEP
#define gGIVEUP(a)  (giveup[a] && !wokenLost)
#else
#define gGIVEUP(a)  (giveup[a])
#endif
#ifdef NO_DUE
#define gDUE        false
#else
#define gDUE        (tSt == HELD && failAge >= LA)
#endif
#ifdef NO_RESEND
#define LOSTRESULT(a) :: d_step { !healed && aSt[a] == ENDED && KNOWN(a) && !resLost -> resLost = 1 }
#else
#define LOSTRESULT(a)   /* it is sent again until it is answered */
#endif
#ifdef WITNESS
#define WIT INV(REACHED, !(heldAfter && t > SL))
#define NOTE heldAfter = (heldAfter || (healed && tSt == HELD))
#else
#define WIT skip
#define NOTE skip
#endif

#define AGENT(a,o) \
   :: d_step { gOFFER(a) -> tSt = OFFERED; own = a; ttl = 0; cur[a] = 0; offLost = 0; accLost = 0; confLost = 0; declLost = 0; decl = 0 } \
   :: d_step { gTAKE(a) -> aSt[a] = ACC; aAge[a] = 0; cur[a] = 1 } \
   :: d_step { gBUSY(a) -> REQUEUE } \
   :: d_step { gCONFIRM(a) -> tSt = CONF; ttl = 0; offLost = 0; accLost = 0 } \
   :: d_step { gSTART(a) -> aSt[a] = RUN; aAge[a] = 0; confLost = 0 } \
   :: d_step { gEND(a) -> aSt[a] = ENDED; resLost = 0 } \
   :: d_step { gREPORT(a) -> if :: cur[a] && (tSt == CONF || tSt == HELD) && own == a -> tSt = DONE; WIT; failAge = 0 :: else fi; DROP(a) } \
   :: d_step { gEXPIRE(a) -> if :: cur[a] -> decl = 1 :: else fi; DROP(a) } \
   :: d_step { gABSENT(a) -> REQUEUE } \
   :: d_step { gSTALE(a) -> DROP(a) } \
   :: d_step { gBEAT(a) -> miss[a] = 0 } \
   /* a new session: un-started accepts are void, the inventory is judged later */ \
   :: d_step { gHELLO(a) -> has[a] = 1; open[a] = 1; ending[a] = 0; miss[a] = 0; inv[a] = 1; if :: aSt[a] == ACC -> DROP(a) :: else fi; resLost = 0 } \
   :: d_step { gINV(a) -> inv[a] = 0; \
        if :: own == a && cur[a] && (tSt == CONF || tSt == HELD) -> tSt = CONF; failAge = 0 \
           :: own == a && !cur[a] && (tSt == OFFERED || tSt == CONF || tSt == HELD) -> REQUEUE :: else fi } \
   :: d_step { gFAIL(a) -> open[a] = 0; ending[a] = 0; miss[a] = 0; giveup[a] = 1; wokenLost = 0; if :: own == a -> failAge = 0 :: else fi } \
   :: d_step { gGIVEUP(a) -> giveup[a] = 0; wokenLost = 0; if :: own == a && !open[a] && tSt == OFFERED -> REQUEUE \
        :: own == a && !open[a] && tSt == CONF -> tSt = HELD :: else fi; NOTE } \
   /* faults, before the healing only */ \
   :: d_step { !healed && up[a] && faults < MAXF -> faults++; up[a] = 0; has[a] = 0; DROP(a) } \
   :: d_step { !healed && !up[a] -> up[a] = 1 } \
   :: d_step { !healed && open[a] && !ending[a] && faults < MAXF -> faults++; ending[a] = 1 } \
   LOSTRESULT(a)

#define DO(a) (gOFFER(a) || gTAKE(a) || gBUSY(a) || gCONFIRM(a) || gSTART(a) || gEND(a) || gREPORT(a) || gEXPIRE(a) || gABSENT(a) || gSTALE(a) || \
   gBEAT(a) || gHELLO(a) || gINV(a) || gFAIL(a) || gGIVEUP(a))
#define TICK(a) if :: open[a] && miss[a] < SL -> miss[a]++ :: else fi; if :: aSt[a] == ACC && aAge[a] < W -> aAge[a]++ :: else fi
#define TICKALL TICK(0); TICK(1); if :: tSt == OFFERED && ttl < W -> ttl++ :: else fi; if :: failAge < LA && (tSt == HELD || giveup[0] || giveup[1]) -> failAge++ :: else fi

active proctype world() {
  d_step { up[0] = 1; up[1] = 1 }
end:
  do
  AGENT(0,1) AGENT(1,0)
  :: d_step { gDECLINE -> REQUEUE }
  :: d_step { gDUE -> REQUEUE }
  :: d_step { gTTL -> REQUEUE }
  :: d_step { !healed && tSt == OFFERED && !cur[own] && !offLost -> offLost = 1 } progress1: skip
  :: d_step { !healed && tSt == OFFERED && cur[own] && !accLost -> accLost = 1 } progress2: skip
  :: d_step { !healed && tSt == CONF && aSt[own] == ACC && !confLost -> confLost = 1 } progress3: skip
  :: d_step { !healed && decl && !declLost -> declLost = 1 } progress4: skip
#ifdef NO_SWEEP
  :: d_step { !healed && (giveup[0] || giveup[1]) && !wokenLost -> wokenLost = 1 } progress5: skip
#endif
  :: d_step { !healed -> healed = 1; faults = 0; up[0] = 1; t = 0 }
  :: d_step { !healed -> healed = 1; faults = 0; up[0] = 1; up[1] = 0; has[1] = 0; DROP(1); t = 0 }
  :: d_step { !healed -> TICKALL } progress6: skip
  :: d_step { healed && tSt != DONE && !DO(0) && !DO(1) && !gDECLINE && !gDUE && !gTTL -> INV(I14, t < BOUND); t++; TICKALL } progress7: skip
  :: d_step { tSt == DONE } progress8: skip
  od
}
