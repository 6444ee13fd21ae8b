-- The CartPole policy of models/cartpole_ppo: true, and false.

@network
policy : Tensor Real [1, 4] -> Tensor Real [1, 2]

inside : Tensor Real [1, 4] -> Bool
inside x =
  -1.0 <= x ! 0 ! 0 <= 1.0 and
  -0.5 <= x ! 0 ! 1 <= 0.5 and
  0.05 <= x ! 0 ! 2 <= 0.2 and
  1.5 <= x ! 0 ! 3 <= 3.0

@property
pushRight : Bool
pushRight = forall x . inside x => policy x ! 0 ! 1 > policy x ! 0 ! 0

@property
pushHard : Bool
pushHard = forall x . inside x => policy x ! 0 ! 1 > policy x ! 0 ! 0 + 20.0
